-- +goose Up

-- Customers are compared byte by byte, as SQLite does and as lists are merged,
-- whatever the database's own order of letters is.
alter table cases alter column customer type text collate "C";
alter table repairs alter column customer type text collate "C";
alter table requests alter column customer type text collate "C";
