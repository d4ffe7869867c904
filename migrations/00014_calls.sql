-- +goose Up

-- How many calls were taken of what a service allows in an hour, before they are
-- made. There are rows only for services that declare per_hour.
create table service_calls (
    service text   not null,
    until   bigint not null, -- when they no longer count: the end of their hour
    taken   bigint not null,
    primary key (service, until)
);
