-- +goose Up

-- SQLite has no roles: whoever can write the file can drop these. They keep
-- programs and people from changing the audit by mistake; who does it on purpose
-- is found by the signed checkpoints outside of the file.

-- +goose StatementBegin
create trigger audit_update before update on audit begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_delete before delete on audit begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
-- "insert or replace" deletes without asking delete triggers.
-- +goose StatementBegin
create trigger audit_replace before insert on audit when exists (select 1 from audit where id = new.id) begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd

-- +goose StatementBegin
create trigger audit_chain_update before update on audit_chain begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_chain_delete before delete on audit_chain begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_chain_replace before insert on audit_chain
when exists (select 1 from audit_chain where seq = new.seq or entry = new.entry) begin
    select raise(abort, 'the audit is append-only');
end;
-- +goose StatementEnd
