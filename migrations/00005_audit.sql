-- +goose Up

-- Whom the audit speaks of. It holds the pseudonym alone: with this row goes
-- the only thing that says whom it stands for, and the only key with which the
-- fingerprints could be tried out.
create table subjects (
    id       text primary key,
    customer text not null unique,
    key      text not null -- of the fingerprints, random
);

-- What was sent, and what people did. Rows are added and never changed. No
-- customer's ID, no field's value and no free text stands here: what could hold
-- one is kept as a fingerprint.
create table audit (
    id           text   primary key,
    at           bigint not null,
    actor        text   not null, -- amend, or a person
    act          text   not null, -- sent, asked, answered, scan, forgotten
    what         text   not null, -- the operation, what was asked, the kind of scan
    result       text   not null, -- a stored word
    subject      text   not null,
    case_id      text   not null,
    repair       text   not null,
    step         bigint not null,
    key          text   not null, -- idempotency key
    rule         text   not null,
    rule_version text   not null,
    plan         text   not null, -- fingerprint of the repair's plan
    bytes        text   not null, -- fingerprint of the request as it was sent
    reason       text   not null  -- fingerprint of the person's reason
);
create index audit_at on audit (at);
create index audit_subject on audit (subject, at);

-- Entries that the chain doesn't hold yet: whoever writes one doesn't wait for
-- all others to be linked.
create table audit_unsealed (
    entry text primary key
);

-- The chain: every hash is of the one before it and of its entry. Rows are
-- added and never changed.
create table audit_chain (
    seq   bigint primary key, -- from 1, without gaps
    entry text   not null unique,
    hash  text   not null
);
