-- +goose Up

-- These hold for the tables' owner, too. An owner can drop them; a lesser role,
-- which can't, is described in docs/security.md.

-- +goose StatementBegin
create function audit_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is append-only' using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd

create trigger audit_append_only before update or delete or truncate on audit
    for each statement execute function audit_append_only();
create trigger audit_chain_append_only before update or delete or truncate on audit_chain
    for each statement execute function audit_append_only();
