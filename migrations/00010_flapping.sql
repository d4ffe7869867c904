-- +goose Up

-- How often a rule has acted for one customer within a day is counted before
-- every repair. Without the rule in it, SQLite takes the index of the rule
-- instead, and reads the repairs of every customer.
drop index repairs_customer;
create index repairs_customer on repairs (customer, rule, created_at);
