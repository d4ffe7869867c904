-- +goose Up

-- What each connection has committed, counted: the count is part of what it counts.
-- A commit that was not answered is found out by it. The identity that PostgreSQL
-- gives a transaction doesn't do: after a crash it is given once more, and then says
-- what became of another one.
create table commits (
    slot   bigint not null, -- of one connection
    number bigint not null,
    at     bigint not null, -- when the connection was made
    primary key (slot, number) -- a count isn't searched for among those before it
);
