-- +goose Up

-- How many customers scans have read of a service, and how many of them could
-- not be: in slots of time, so that the table doesn't grow with the customers.
create table service_samples (
    slot    bigint not null, -- when it began
    service text   not null,
    read    bigint not null,
    unseen  bigint not null,
    primary key (slot, service)
);
