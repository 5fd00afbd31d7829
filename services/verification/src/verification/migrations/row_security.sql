-- Verification's lines of row-level security (chassis/sql/row_security.sql says what they mean).
select pg_temp.may_publish('{situation.write,case.open,decision.record,docket.approve,link.record,question.ask}');

-- The register: only its writer makes and, for a scratch situation, removes what hangs on it.
select pg_temp.may('add', 'ledgers', '{situation.write}');
select pg_temp.may('see', 'ledgers', '{situation.write}');
select pg_temp.may('lock', 'ledgers', '{situation.write}');
select pg_temp.may('see', 'pseudonym_secret', null, place => null, scope => 'somewhere');
select pg_temp.may('add', 'pseudonym_secret', null, place => null, scope => 'somewhere');
select pg_temp.may('see', name, '{situation.write}'), pg_temp.may('remove', name, '{situation.write}')
from unnest(array[
    'incidents', 'reports', 'violations', 'children', 'sealed_texts', 'dockets', 'docket_lines', 'docket_approvals', 'decisions', 'links',
    'questions', 'emergency_accesses', 'emergency_acknowledgements'
]) as of_scratch (name);
select pg_temp.may('remove', 'ledgers', '{situation.write}');

-- The ledger: counters for members; every act holds its row, and what is recorded counts there.
select pg_temp.may('see', 'ledgers', '{situation.list}');
select pg_temp.may(act, 'ledgers', '{case.open,case.break_glass,emergency.acknowledge,docket.propose,docket.withdraw,question.ask}')
from unnest(array['see', 'lock']) as acts (act);
select pg_temp.may(act, 'ledgers', '{decision.record,docket.approve,link.record}') from unnest(array['see', 'change']) as acts (act);

-- Cases.
select pg_temp.may('see', 'incidents',
    '{queue.read,case.open,case.break_glass,decision.record,docket.propose,docket.approve,link.record,question.ask,records.export}');
-- A report is the monitor's and a case's progress follows from the act: the first opening by a reviewer, a decision, a question.
select pg_temp.may('change', 'incidents', '{case.open}', states => '{received}', state_column => 'status',
    offices => '{focal_point,technical}', office_column => null, added => $sql$status = 'under_review'$sql$);
select pg_temp.may('change', 'incidents', '{decision.record,docket.approve}', added => $sql$status in ('under_review', 'closed')$sql$);
select pg_temp.may('change', 'incidents', '{question.ask}', added => $sql$status = 'needs_information'$sql$);
select pg_temp.may('see', 'reports', '{case.open,case.break_glass,question.ask,records.export}');
select pg_temp.may('see', 'violations',
    '{queue.read,case.open,decision.record,decision.read,docket.propose,docket.approve,link.record,link.read,question.ask}');
select pg_temp.may('change', 'violations', '{decision.record,docket.approve}');
select pg_temp.may('see', 'children', '{link.record,link.read}');
select pg_temp.may('see', 'questions', '{case.open}');
select pg_temp.may('add', 'questions', '{question.ask}', added => 'asked_by = (select acting_subject())');
select pg_temp.may('see', 'sealed_texts', '{case.open,decision.read,docket.read,emergency.read}');
select pg_temp.may('add', 'sealed_texts', '{case.break_glass,decision.record,docket.propose,question.ask}');

-- Decisions: a stage by whoever the table lets decide at it; those of the task force by the approval that completes a docket.
select pg_temp.may('see', 'decisions', '{case.open,decision.read,records.export}');
select pg_temp.may('add', 'decisions', '{decision.record}', relation => 'not_own', states => '{focal_point,technical}',
    state_column => 'stage', added => 'decided_by = array[(select acting_subject())]');
select pg_temp.may('add', 'decisions', '{docket.approve}', relation => 'not_own',
    added => $sql$stage = 'ctfmr' and (select acting_subject()) = any (decided_by)$sql$);

-- Dockets: seen in every state, changed only from the states that the table names.
select pg_temp.may('see', 'dockets', '{queue.read,case.open,docket.propose,docket.read,docket.approve,docket.withdraw}');
select pg_temp.may('add', 'dockets', '{docket.propose}', added => $sql$proposed_by = (select acting_subject()) and state = 'open'$sql$);
select pg_temp.may('change', 'dockets', '{docket.approve}', relation => 'not_own', states => '{open,decided,withdrawn}',
    added => $sql$state = 'decided' and ended_by = (select acting_subject())$sql$);
select pg_temp.may('change', 'dockets', '{docket.withdraw}', owner => 'proposed_by = (select acting_subject())',
    states => '{open,decided,withdrawn}', added => $sql$state = 'withdrawn' and ended_by = (select acting_subject())$sql$);
select pg_temp.may('see', 'docket_lines', '{queue.read,case.open,docket.read,docket.approve}');
select pg_temp.may('add', 'docket_lines', '{docket.propose}');
select pg_temp.may('see', 'docket_approvals', '{docket.read,docket.approve,docket.withdraw}');
select pg_temp.may('add', 'docket_approvals', '{docket.approve}', relation => 'not_own', offices => '{cochair_un,cochair_unicef}',
    added => 'subject = (select acting_subject())');

-- Links.
select pg_temp.may('see', 'links', '{queue.read,case.open,link.record,link.read,records.export}');
select pg_temp.may('add', 'links', '{link.record}', added => 'recorded_by = (select acting_subject())');
select pg_temp.may('change', 'links', '{link.record}', added => 'undone_by = (select acting_subject())');

-- Emergency access: taken and given back by its holder, acknowledged by somebody else.
select pg_temp.may('see', 'emergency_accesses', '{queue.read,case.open,case.break_glass,emergency.read,emergency.acknowledge}');
select pg_temp.may('add', 'emergency_accesses', '{case.break_glass}', relation => 'not_own',
    offices => '{cochair_un,cochair_unicef,officer}', added => 'holder = (select acting_subject())');
select pg_temp.may('change', 'emergency_accesses', '{case.break_glass}', also => 'holder = (select acting_subject())');
select pg_temp.may('see', 'emergency_acknowledgements', '{queue.read,case.open,emergency.read,emergency.acknowledge}');
select pg_temp.may('add', 'emergency_acknowledgements', '{emergency.acknowledge}', relation => 'not_own',
    offices => '{cochair_un,cochair_unicef}', added => 'subject = (select acting_subject())');
