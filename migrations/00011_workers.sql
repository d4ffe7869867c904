-- +goose Up

-- The workers that share a store divide what each service allows between them.
-- Turns count the beats of all of them, one after another, so that no clock
-- that jumps can mix them up.
create table workers (
    id      text primary key,
    beat_at bigint not null, -- by the database's own clock
    turn    bigint not null, -- its newest beat
    joined  bigint not null, -- the beat with which it came
    seen    bigint not null  -- the beat whose answer it goes by
);
