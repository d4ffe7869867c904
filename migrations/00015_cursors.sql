-- +goose Up

-- From when each service is asked what has changed there. It follows from scans
-- that read the service whole: a service that failed stays where it was.
create table cursors (
    service text   primary key,
    at      bigint not null, -- when the last scan that read it whole began
    version text   not null  -- of the service's declaration then
);

-- Customers whom a scan could not judge, although the services that it read whole
-- say only once that they changed: the next fresh scan looks at them again.
create table unjudged (
    customer text primary key
);

-- The services that all parts of a scan until now have read whole, with the
-- versions of their declarations; empty while no part is done. Of scans that are
-- under way nobody knows what the parts that are done have read.
alter table scans add column whole text not null default '';
update scans set whole = '{}' where ended_at = 0;
