-- +goose Up

-- Where people have stopped repairs. Standing windows are in the configuration.
create table pauses (
    id       text primary key,
    scope    text   not null, -- all, service, rule, customer
    target   text   not null, -- which one; empty for all
    why      text   not null,
    set_by   text   not null,
    set_at   bigint not null,
    until    bigint not null, -- 0: until somebody resumes
    ended_at bigint not null,
    ended_by text   not null
);
-- At most one is in force for each target.
create unique index pauses_open on pauses (scope, target) where ended_at = 0;
