-- Intake's lines of row-level security (chassis/sql/row_security.sql says what they mean). A monitor is a mark here.
create or replace function pg_temp.own() returns text language sql as $$
    select $sql$'monitor:' || encode(submitter, 'hex') = (select acting_subject())$sql$
$$;

-- For a device only what came through it is there; the monitor's own are all of theirs.
create or replace function pg_temp.through() returns text language sql as $$
    select $sql$(select acting_device()) is null or device = (select acting_device())$sql$
$$;

select pg_temp.may_publish('{incident.submit,incident.revise}');

select pg_temp.may('see', 'incidents', '{incident.submit,incident.revise,incident.status,incident.list}', owner => pg_temp.own(), also => pg_temp.through());
select pg_temp.may('add', 'incidents', '{incident.submit}', also => pg_temp.through(), added => pg_temp.own());
select pg_temp.may('change', 'incidents', '{incident.revise}', owner => pg_temp.own(), also => pg_temp.through());

select pg_temp.may('see', 'revisions', '{incident.submit,incident.revise}', also => $sql$exists (
    select from incidents i where i.situation = revisions.situation and i.incident = revisions.incident
)$sql$);
select pg_temp.may('add', 'revisions', '{incident.submit,incident.revise}');

select pg_temp.may('see', 'devices', '{device.add,device.list,device.count,device.revoke,device.revoke_all}', owner => pg_temp.own());
select pg_temp.may('add', 'devices', '{device.add}', added => pg_temp.own());
select pg_temp.may('change', 'devices', '{device.revoke,device.revoke_all}', owner => pg_temp.own(), added => 'revoked_at is not null');
select pg_temp.may(act, 'devices', '{incident.submit,incident.revise}', also => pg_temp.own() || ' and device = (select acting_device())')
from unnest(array['see', 'lock']) as acts (act);
