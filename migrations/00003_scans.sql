-- +goose Up

-- Who or what began a scan, when somebody last changed its course and who, and
-- the services whose lists don't come in key order and are read whole.
alter table scans add column started_by text not null default '';
alter table scans add column changed_by text not null default '';
alter table scans add column staged text not null default '[]';
-- At most one scan of a kind is under way.
create unique index scans_open on scans (kind) where ended_at = 0;

-- What is left of a scan: a part of the customers, which whoever finds it looks
-- at. It goes when it is done; a scan has ended when none is left.
create table scan_pages (
    id          text primary key,
    scan        text   not null references scans (id),
    number      bigint not null,
    position    text   not null, -- JSON: after whom, and the lists' cursors
    listed      bigint not null, -- 1: the page that follows is written down
    until       text   not null, -- the last customer of this part, where one follows
    fence       bigint not null, -- raised by every holder of the lease
    lease_until bigint not null
);
create unique index scan_pages_order on scan_pages (scan, number);
