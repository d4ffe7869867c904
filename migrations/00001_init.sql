-- +goose Up

-- Times are microseconds since 1970 in UTC, 0 where there is none: the same on
-- every engine, and exact.

-- One row that tells installations apart: idempotency keys are derived from it.
create table installation (
    id         text primary key,
    created_at bigint not null
);

-- One customer being worked on. The truth; everything else is a hint.
create table cases (
    id          text primary key,
    customer    text   not null,
    status      text   not null,
    state       text   not null,
    since       bigint not null, -- from when the state counts
    looks       bigint not null, -- readings that showed this state
    rule        text   not null, -- the rule that is followed, or none
    attempts    bigint not null, -- failed attempts in this state
    reason      text   not null, -- a stored word: why it is where it is
    why         text   not null, -- the same in a sentence
    next        text   not null, -- what happens next, in a sentence
    opened_at   bigint not null,
    updated_at  bigint not null,
    ended_at    bigint not null,
    ended_by    text   not null, -- rule, person or itself
    wake_at     bigint not null, -- look again at this time
    due_at      bigint not null, -- what the customer was promised
    incident    text   not null,
    previous    text   not null, -- the case that this one is a relapse of
    version     bigint not null, -- every write compares and raises it
    fence       bigint not null, -- raised by every holder of the lease
    lease_until bigint not null
);
-- At most one open case for a customer.
create unique index cases_open on cases (customer) where ended_at = 0;
create index cases_wake on cases (wake_at) where ended_at = 0;
create index cases_customer on cases (customer, opened_at);
create index cases_state on cases (state) where ended_at = 0;

-- One taking of one rule for one case. The plan is written before anything is
-- sent and never computed again.
create table repairs (
    id           text primary key,
    case_id      text   not null references cases (id),
    customer     text   not null,
    rule         text   not null,
    rule_version text   not null,
    state        text   not null, -- the customer's state when it was planned
    status       text   not null, -- proposed, open, done, failed, void
    started_by   text   not null, -- amend, or a person
    reason       text   not null, -- the person's
    plan         text   not null, -- JSON
    created_at   bigint not null,
    ended_at     bigint not null
);
create index repairs_case on repairs (case_id, created_at);
create index repairs_customer on repairs (customer);
create index repairs_rule on repairs (rule, created_at);
create index repairs_open on repairs (rule) where status = 'open';

-- One operation of a repair: its intent, committed before the first byte is
-- sent, and its outcome.
create table steps (
    repair      text   not null references repairs (id),
    number      bigint not null,
    service     text   not null,
    operation   text   not null,
    key         text   not null, -- idempotency key: one for life
    request     text   not null, -- JSON: exactly what goes over the wire
    intent_at   bigint not null,
    sent        bigint not null, -- how often it was sent
    sent_at     bigint not null, -- when last
    outcome     text   not null, -- unsettled, done, refused, failed
    outcome_at  bigint not null,
    http_status bigint not null,
    detail      text   not null,
    proved_at   bigint not null, -- when a reading showed the effect
    primary key (repair, number)
);

-- What happened to a customer, for people.
create table timeline (
    id       text primary key,
    at       bigint not null,
    customer text   not null,
    case_id  text   not null,
    kind     text   not null,
    actor    text   not null,
    text     text   not null
);
create index timeline_customer on timeline (customer, at);

-- What people ask for. Whoever holds the customer's lease carries it out.
create table requests (
    id          text primary key,
    customer    text   not null,
    kind        text   not null, -- look, start
    rule        text   not null,
    fingerprint text   not null, -- of what the person saw
    actor       text   not null,
    reason      text   not null,
    created_at  bigint not null,
    taken_at    bigint not null,
    result      text   not null
);
create index requests_open on requests (customer) where taken_at = 0;

-- Escalated cases with one cause; one message each.
create table incidents (
    id           text primary key,
    case_id      text   not null, -- empty where it is about a rule
    customer     text   not null,
    cause        text   not null, -- what makes two incidents the same one
    status       text   not null, -- open, done
    severity     text   not null,
    state        text   not null,
    rule         text   not null,
    rule_version text   not null,
    target       text   not null, -- the channel to tell, where the state names one
    about        text   not null,
    why          text   not null,
    next         text   not null,
    tried        text   not null,
    tell         text   not null,
    since        bigint not null,
    due_at       bigint not null,
    opened_at    bigint not null,
    closed_at    bigint not null,
    outcome      text   not null, -- healed, closed
    channel      text   not null, -- where the message stands
    message      text   not null
);
create unique index incidents_open on incidents (cause) where closed_at = 0;

-- What still has to be told. A row is written in the transaction that makes it
-- true, and stays until the messenger has said yes.
create table outbox (
    id         text primary key,
    incident   text   not null references incidents (id),
    action     text   not null, -- post, update
    not_before bigint not null,
    attempts   bigint not null,
    error      text   not null,
    created_at bigint not null,
    sent_at    bigint not null
);
create index outbox_waiting on outbox (not_before) where sent_at = 0;

create table scans (
    id         text primary key,
    kind       text   not null, -- full, fresh
    status     text   not null, -- running, done, partial, failed
    started_at bigint not null,
    ended_at   bigint not null,
    customers  bigint not null,
    coherent   bigint not null,
    opened     bigint not null,
    unseen     bigint not null,
    states     text   not null, -- JSON: customers by state
    error      text   not null
);
create index scans_kind on scans (kind, started_at);
