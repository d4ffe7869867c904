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

-- It deletes with the rights of the tables' owner: a lesser role has none to.
-- +goose StatementBegin
create function audit_cut() returns trigger language plpgsql security definer as $$
declare
    gone bigint; -- what is gone already: without it the planner takes the few links for many
begin
    select coalesce(max(links), 0) into gone from audit_cuts where links < new.links;
    -- A chain that is copied is not there yet.
    if exists (select 1 from audit_chain) then
        if not exists (select 1 from audit_chain where seq = new.links and hash = new.hash) or not exists (select 1 from audit_chain where seq > new.links) then
            raise exception 'the audit is append-only: it is cut at a link, and never at the last' using errcode = 'insufficient_privilege';
        end if;
        -- 365 days: the least that can be configured.
        if exists (select 1 from audit_chain c join audit a on a.id = c.entry
            where c.seq > gone and c.seq <= new.links and a.at > (extract(epoch from clock_timestamp())::bigint - 31536000) * 1000000) then
            raise exception 'the audit is append-only: what is younger than a year stays' using errcode = 'insufficient_privilege';
        end if;
    end if;
    delete from audit where id in (select entry from audit_chain where seq > gone and seq <= new.links);
    delete from audit_chain where seq > gone and seq <= new.links;
    delete from audit_cuts where links < new.links;
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function audit_delete() returns trigger language plpgsql as $$
declare
    cut boolean;
begin
    if tg_table_name = 'audit' then
        cut := exists (select 1 from audit_chain where entry = old.id and seq <= (select max(links) from audit_cuts));
    elsif tg_table_name = 'audit_chain' then
        cut := exists (select 1 from audit_cuts where links >= old.seq);
    else
        cut := exists (select 1 from audit_cuts where links > old.links);
    end if;
    if cut then
        return old;
    end if;
    raise exception 'the audit is append-only' using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd

-- Whoever may make temporary tables must not put one in the place of ours, and
-- nobody else may make a trigger of what has the owner's rights.
-- +goose StatementBegin
do $$
begin
    execute format('alter function audit_cut() set search_path = %I, pg_temp', current_schema());
    execute format('alter function audit_delete() set search_path = %I, pg_temp', current_schema());
end
$$;
-- +goose StatementEnd
revoke execute on function audit_cut() from public;

create trigger audit_cut after insert on audit_cuts for each row execute function audit_cut();
create trigger audit_cuts_append_only before update or truncate on audit_cuts for each statement execute function audit_append_only();
create trigger audit_cuts_delete before delete on audit_cuts for each row execute function audit_delete();

drop trigger audit_append_only on audit;
create trigger audit_append_only before update or truncate on audit for each statement execute function audit_append_only();
create trigger audit_delete before delete on audit for each row execute function audit_delete();
drop trigger audit_chain_append_only on audit_chain;
create trigger audit_chain_append_only before update or truncate on audit_chain for each statement execute function audit_append_only();
create trigger audit_chain_delete before delete on audit_chain for each row execute function audit_delete();
