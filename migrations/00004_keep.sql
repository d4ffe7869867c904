-- +goose Up

-- What is old is found without reading everything.
create index cases_ended on cases (ended_at) where ended_at > 0;
create index incidents_closed on incidents (closed_at) where closed_at > 0;
create index incidents_case on incidents (case_id);
create index outbox_incident on outbox (incident);
create index timeline_case on timeline (case_id);
create index requests_taken on requests (taken_at) where taken_at > 0;

-- What a rule did in the last hour is counted before every repair: from the
-- index alone.
drop index repairs_rule;
create index repairs_rule on repairs (rule, created_at, status);
