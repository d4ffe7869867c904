-- +goose Up

-- What people are asked to agree to: one row beside each repair that waits for
-- them.
create table proposals (
    repair      text primary key references repairs (id),
    fingerprint text   not null, -- of customer, rule version, steps with arguments, and what they rest on
    basis       text   not null, -- JSON: a fingerprint of each part, to say which one has changed
    needs       bigint not null, -- how many people must agree
    made_at     bigint not null,
    until       bigint not null, -- nobody can agree any more
    agreed_at   bigint not null  -- when the last of them did
);

-- Who agreed, and who refused. A person counts once.
create table approvals (
    id     text primary key, -- made with the form: sent twice it is one word
    repair text   not null references proposals (repair),
    actor  text   not null,
    agrees bigint not null,  -- 1; 0: refuses
    reason text   not null,
    at     bigint not null
);
create unique index approvals_once on approvals (repair, actor);

-- Who said whether an operation happened of which no reading tells; empty where
-- a reading did.
alter table steps add column answered_by text not null default '';

-- What was proposed before anybody could agree is proposed anew.
update cases set wake_at = 1 where status = 'proposed' and ended_at = 0;
