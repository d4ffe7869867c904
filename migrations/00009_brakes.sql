-- +goose Up

-- A brake is a pause of a rule that amend itself has set, until a person
-- resumes.
alter table pauses add column brake text not null default ''; -- share, canary; empty: a person's pause, or of an older store
alter table pauses add column states text not null default ''; -- of a share brake: the rule's, with spaces between
alter table pauses add column level bigint not null default 0; -- how many customers were in them when it was released

-- When a version of a rule was first worked with: what a full scan that began
-- before it says of the rule's customers isn't enough to act on.
create table rule_versions (
    rule    text   not null,
    version text   not null,
    seen_at bigint not null,
    primary key (rule, version)
);

-- A changed rule's first repairs are counted before each further one.
create index repairs_version on repairs (rule, rule_version, status);

-- Whether a repair lasted is seen by the case that followed.
create index cases_previous on cases (previous) where previous <> '';
