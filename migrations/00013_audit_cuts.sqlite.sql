-- +goose Up

-- Where the audit's chain begins since its oldest links were cut off: the last
-- link that is gone, or no row. A new row is the cut itself: the trigger takes
-- the links up to there with their entries, and the row before. Nothing else can
-- delete any. That amend meant it is signed outside of the store before.
create table audit_cuts (
    links bigint not null primary key, -- up to this one all are gone
    hash  text   not null,             -- of that link: the next one follows it
    at    bigint not null
);

-- +goose StatementBegin
create trigger audit_cuts_insert before insert on audit_cuts begin
    -- A chain that is copied is not there yet.
    select raise(abort, 'the audit is append-only: it is cut at a link, and never at the last') where exists (select 1 from audit_chain)
        and (not exists (select 1 from audit_chain where seq = new.links and hash = new.hash) or not exists (select 1 from audit_chain where seq > new.links));
    -- 365 days: the least that can be configured.
    select raise(abort, 'the audit is append-only: what is younger than a year stays') where exists (
        select 1 from audit_chain c join audit a on a.id = c.entry where c.seq <= new.links and a.at > (cast(strftime('%s', 'now') as integer) - 31536000) * 1000000);
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_cuts_cut after insert on audit_cuts begin
    delete from audit where id in (select entry from audit_chain where seq <= new.links);
    delete from audit_chain where seq <= new.links;
    delete from audit_cuts where links < new.links;
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_cuts_update before update on audit_cuts begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_cuts_delete before delete on audit_cuts when not exists (select 1 from audit_cuts where links > old.links) begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd

drop trigger audit_delete;
-- +goose StatementBegin
create trigger audit_delete before delete on audit
when not exists (select 1 from audit_chain where entry = old.id and seq <= (select max(links) from audit_cuts)) begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
drop trigger audit_chain_delete;
-- +goose StatementBegin
create trigger audit_chain_delete before delete on audit_chain when not exists (select 1 from audit_cuts where links >= old.seq) begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
