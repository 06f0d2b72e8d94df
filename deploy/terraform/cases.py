"""What may be said of the module's variables, and what may not, with what is said then."""

import base64
import json
import pathlib
import re

SOURCES = pathlib.Path(__file__).resolve().parents[2]
# What the gateway knows: the module must know the same.
PERMISSIONS = re.findall(r'Self::\w+ => "(\w+)"', (SOURCES / "crates/access/src/permission.rs").read_text())
CANARY = "Y2FuYXJ5LW9mLXRoZS10ZXJyYWZvcm0tY2hlY2stYW5kLWxvbmctZW5vdWdo"

# Variables of which one decides about another.
INTERTWINED = ("admin_", "api_gw_vpc_", "customer_fragments", "default_customer_", "image_", "package_", "vpc_")

# What is given where nothing is wrong.
RIGHT = {
    "admin_access_id": "p-check",
    "admin_access_key": CANARY,
    "customer_fragments": {"customer_fragments": [{"id": "cf-1", "value": CANARY, "name": "n", "description": "d"}]},
    "allowed_access_permissions": json.dumps([{"name": "n", "access_id": "p-2", "permissions": ["admin"]}]),
    "deletion_protection": False,
}

ROLE = "arn:aws:sts::123456789012:assumed-role/operators/*"
BUS = "arn:aws:events:us-east-2:123456789012:event-bus/default"

# The same with an administrator whom AWS knows.
AWS_IAM = {"admin_access_id_type": "aws_iam", "admin_access_key": "", "admin_bound_arns": [ROLE], "events_bus_arn": BUS}

# What may be said, too: both forms of fragments, also as JSON, and the entries of allowed access in all their spellings.
FRAGMENT = {"id": "cf-1", "value": CANARY}
SEEDS_OWN = '[{"name": "", "p-2": "", "permissions": ["admin"]}]'
MIXED = [
    {"name": "a", "access_id": "p-2", "permissions": ["admin"]},
    {"name": "b", "access_id": "p-3", "sub_claims": {"group": ["x"]}, "permissions": ["targets", "caching"]},
]
EVERY_FIELD = [
    {"access_id": "p-2", "name": None, "description": "d", "permissions": ["admin"], "sub_claims": None, "case_insensitive": True},
    {"p-3": "", "permissions": "admin", "sub_claims": {"a": "x, y", "b": ["z"]}, "sub_claims_case_insensitive": False},
]
GOOD = [
    {},
    AWS_IAM,
    {"allowed_access_permissions": []},
    {"allowed_access_permissions": ""},
    {"allowed_access_permissions": SEEDS_OWN},
    {"allowed_access_permissions": json.loads(SEEDS_OWN)},
    {"allowed_access_permissions": MIXED},
    {"allowed_access_permissions": json.dumps(MIXED)},
    {"allowed_access_permissions": [{"access_id": "p-2", "permissions": PERMISSIONS}]},
    {"allowed_access_permissions": [{"access_id": "p-2", "permissions": "targets, caching"}]},
    {"customer_fragments": {}},
    {"customer_fragments": []},
    {"customer_fragments": ""},
    {"customer_fragments": [FRAGMENT, {**FRAGMENT, "id": "cf-2", "name": "n"}]},
    {"customer_fragments": json.dumps({"customer_fragments": [FRAGMENT]})},
    {"customer_fragments": json.dumps([FRAGMENT])},
    {"customer_fragments": [{**FRAGMENT, "value": base64.b64encode(bytes(32)).decode()}]},
    {"customer_fragments": [{**FRAGMENT, "value": base64.b64encode(bytes(1024)).decode() + "\n", "name": None}]},
    {"default_customer_fragment": "cf-1"},
    {"default_customer_fragment": "cf-2", "customer_fragments": json.dumps([{**FRAGMENT, "id": "cf-2"}])},
    {
        "default_customer_fragment": "cf-9",
        "customer_fragments": {},
        "customer_fragments_secret_arn": "arn:aws:secretsmanager:us-east-2:123456789012:secret:cf",
    },
    {"allowed_access_permissions": EVERY_FIELD},
    {"allowed_access_permissions": json.dumps(EVERY_FIELD)},
    {"environment": {"GATEWARD_LOG": "debug", "SHOWN": "x"}},
    # Nothing is what was not said.
    {
        name: None
        for name in (
            "admin_access_id_type", "admin_bound_arns", "api_gw_allowed_cidrs", "default_customer_fragment", "environment",
            "lambda_memory_size", "lambda_timeout", "log_retention_days", "vpc_subnet_ids",
        )
    },
    {"cloudwatch_event_rule_schedule": "cron(* * * * ? *)", "log_retention_days": 0},
    {
        "readable_secret_arns": ["arn:aws:secretsmanager:us-east-2:123456789012:secret:team/*"],
        "secret_kms_key_arns": ["arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    },
    {"package_type": "Image", "image_tag": "0.1.0", "package_file": ""},
]

# Other ways to deploy it, and what must stand in the plan then.
OTHER_WAYS = [
    (
        {
            "package_type": "Image",
            "image_tag": "0.1.0",
            "lambda_architecture": "arm64",
            "api_gw_authorization": "AWS_IAM",
            "api_gw_vpc_endpoint_ids": ["vpce-0a1b2c3d"],
        },
        ["aws_ecr_repository", '"arm64"', '"PRIVATE"', '"AWS_IAM"', "vpce-0a1b2c3d", "aws:SourceVpce", "arn:aws:iam::123456789012:root"],
    ),
    (
        {
            "api_gw_allowed_cidrs": ["203.0.113.0/24", "2001:db8::/32"],
            "vpc_subnet_ids": ["subnet-0a1b2c3d"],
            "vpc_security_group_ids": ["sg-0a1b2c3d"],
            "lambda_timeout": 900,
        },
        ["aws:SourceIp", "203.0.113.0/24", "ec2:CreateNetworkInterface", "subnet-0a1b2c3d"],
    ),
]

# What somebody may get wrong, and what they are told.
WRONG = [
    ({"admin_access_id": "1234"}, "admin_access_id is p- and then"),
    ({"admin_access_id_type": "saml"}, "admin_access_id_type is access_key or aws_iam"),
    ({"admin_access_key": ""}, "admin_access_id_type = access_key wants admin_access_key"),
    ({"admin_access_id_type": "aws_iam"}, "admin_access_key has no meaning with admin_access_id_type = aws_iam"),
    (
        {"admin_access_id_type": "aws_iam", "admin_access_key": "", "allowed_access_permissions": ""},
        "admin_access_id_type = aws_iam wants allowed_access_permissions",
    ),
    (
        {"admin_access_id_type": "aws_iam", "admin_access_key": ""},
        "admin_access_id_type = aws_iam wants admin_bound_arns",
    ),
    (
        {"admin_access_id_type": "aws_iam", "admin_access_key": "", "admin_bound_arns": ["arn:aws:iam::*:user/ann"]},
        "names its account by its 12 digits",
    ),
    (
        {"admin_access_id_type": "aws_iam", "admin_access_key": "", "admin_bound_aws_accounts": ["1234"]},
        "an account's number, 12 digits",
    ),
    ({"admin_bound_arns": [ROLE]}, "admin_bound_arns has no meaning with admin_access_id_type = access_key"),
    ({"admin_bound_aws_accounts": ["123456789012"]}, "admin_bound_aws_accounts has no meaning"),
    ({"events_bus_arn": "default"}, "events_bus_arn is the ARN of an event bus"),
    ({"allowed_access_permissions": "{"}, "allowed_access_permissions is a list of"),
    ({"allowed_access_permissions": "admin"}, "allowed_access_permissions is a list of"),
    ({"allowed_access_permissions": {"0": MIXED[0]}}, "allowed_access_permissions is a list of"),
    ({"allowed_access_permissions": [MIXED[0], {"access_id": "p-2"}]}, "has permissions, such as [\"admin\"]; not so number 2."),
    ({"customer_fragments": {"customer_fragments": [{"id": "x", "value": CANARY}]}}, "A customer fragment has an id that begins with cf-"),
    ({"customer_fragments": {"customer_fragments": [{"id": "cf-1", "value": "*"}]}}, "A customer fragment has an id that begins with cf-"),
    ({"customer_fragments": {"customer_fragment": [FRAGMENT]}}, "customer_fragments is {customer_fragments = ["),
    *(
        ({"customer_fragments": given}, "customer_fragments is {customer_fragments = [")
        for given in (
            "{canary",
            "cf-1",
            5,
            FRAGMENT,
            {"fragments": [FRAGMENT]},
            {"customer_fragments": []},
            {"customer_fragments": FRAGMENT},
            {"customer_fragments": [FRAGMENT], "more": [FRAGMENT]},
            json.dumps({"customer_fragment": [FRAGMENT]}),
            json.dumps(json.dumps([FRAGMENT])),
        )
    ),
    *(
        ({"customer_fragments": [{**FRAGMENT, "value": value}]}, "a value of at least 32 bytes in base64")
        for value in (
            base64.b64encode(bytes(31)).decode(),
            base64.b64encode(bytes(32)).decode().rstrip("="),
            base64.b64encode(bytes(33)).decode() + "A",
            base64.b64encode(bytes(1025)).decode(),
            "A" * 42 + "B=",
            ["A" * 44],
        )
    ),
    ({"customer_fragments": [{**FRAGMENT, "name": 5}]}, "The name and the description of a customer fragment are texts"),
    ({"default_customer_fragment": "1"}, "default_customer_fragment is the id of a customer fragment"),
    ({"default_customer_fragment": "cf-2"}, "default_customer_fragment is none of customer_fragments"),
    ({"default_customer_fragment": "cf-1", "customer_fragments": ""}, "default_customer_fragment is none of customer_fragments"),
    ({"customer_fragments": [FRAGMENT, FRAGMENT]}, "two customer fragments with one id"),
    (
        {"customer_fragments_secret_arn": "arn:aws:secretsmanager:us-east-2:123456789012:secret:cf"},
        "customer_fragments and customer_fragments_secret_arn are both given",
    ),
    ({"customer_fragments_secret_arn": "cf", "customer_fragments": {}}, "customer_fragments_secret_arn is the ARN"),
    ({"admin_access_key_secret_arn": "key", "admin_access_key": ""}, "admin_access_key_secret_arn is the ARN"),
    (
        {"admin_access_key_secret_arn": "arn:aws:secretsmanager:us-east-2:123456789012:secret:key"},
        "admin_access_key and admin_access_key_secret_arn are both given",
    ),
    (
        {"allowed_access_permissions": [{"name": "n", "permissions": ["admin"]}, MIXED[1], {**MIXED[0], "access_id": "ann"}]},
        'says whom it is about, by one access_id = "p-..."; not so number 1, 3.',
    ),
    ({"allowed_access_permissions": json.dumps([MIXED[1], {"permissions": ["admin"]}])}, "not so number 2."),
    ({"allowed_access_permissions": [MIXED[0], "p-2"]}, "not so number 2."),
    ({"allowed_access_permissions": [{"access_id": "p-2", "permissions": []}]}, "has permissions, such as"),
    (
        {"allowed_access_permissions": [*MIXED, {"access_id": "p-4", "permissions": ["targets", "admn"]}]},
        f"there is no permission admn; there are {', '.join(PERMISSIONS)}.",
    ),
    ({"allowed_access_permissions": json.dumps([{"access_id": "p-4", "permissions": "read,admin"}])}, "no permission read;"),
    ({"allowed_access_permissions": {"access_id": "p-2"}}, "allowed_access_permissions is a list of"),
    (
        {"allowed_access_permissions": [{**MIXED[0], "sub_claim": {"group": ["x"]}}, {**MIXED[1], "created": 1}]},
        "an entry has no field sub_claim, created; there are access_id,",
    ),
    ({"allowed_access_permissions": json.dumps([{**MIXED[0], "p": ""}])}, "an entry has no field p;"),
    *(
        ({"allowed_access_permissions": sent([{**MIXED[0], **field}])}, "In an entry of allowed_access_permissions name and")
        for sent in (list, json.dumps)
        for field in (
            {"name": 5},
            {"description": ["d"]},
            {"case_insensitive": "yes"},
            {"case_insensitive": None},
            {"sub_claims_case_insensitive": 1},
            {"permissions": {"a": "admin"}},
            {"sub_claims": ["a"]},
            {"sub_claims": "a"},
            {"sub_claims": {"a": []}},
            {"sub_claims": {"a": " , "}},
            {"sub_claims": {"a": 5}},
            {"sub_claims": {"a": {"b": "c"}}},
            {"sub_claims": {"a": ["x", 5]}},
            {"sub_claims": {"a": ["x"], "b": [None]}},
        )
    ),
    (
        {**AWS_IAM, "admin_access_key_secret_arn": "arn:aws:secretsmanager:us-east-2:123456789012:secret:key"},
        "admin_access_key_secret_arn has no meaning with admin_access_id_type = aws_iam",
    ),
    ({**AWS_IAM, "allowed_access_permissions": "[]"}, "admin_access_id_type = aws_iam wants allowed_access_permissions"),
    ({**AWS_IAM, "admin_bound_arns": [ROLE + ",x"]}, "without commas and spaces"),
    ({"lambda_func_name": "a b"}, "lambda_func_name is 1 to 48"),
    ({"lambda_memory_size": 64}, "lambda_memory_size is a whole number from 128 to 10240"),
    ({"lambda_memory_size": 512.5}, "lambda_memory_size is a whole number from 128 to 10240"),
    ({"lambda_timeout": 29}, "lambda_timeout is a whole number from 30 to 900"),
    ({"lambda_role_name": "a/b"}, "lambda_role_name is 1 to 64"),
    ({"func_logging_policy_name": ""}, "func_logging_policy_name is 1 to 128"),
    ({"vpc_subnet_ids": ["subnet-1"]}, "vpc_subnet_ids and vpc_security_group_ids are given together"),
    ({"vpc_subnet_ids": ["one"], "vpc_security_group_ids": ["sg-1"]}, "vpc_subnet_ids is a subnet's id"),
    ({"vpc_subnet_ids": ["subnet-1"], "vpc_security_group_ids": ["one"]}, "vpc_security_group_ids is a security group's id"),
    ({"environment": {"1A": ""}}, "Each name in environment begins with a letter"),
    ({"environment": {"AWS_REGION": "x"}}, "a name that Lambda keeps for itself"),
    *(({"environment": {name: "x"}}, "a name that Lambda keeps for itself") for name in ("AWS_LAMBDA_LOG_GROUP_NAME", "LAMBDA_TASK_ROOT")),
    ({"environment": {"GATEWARD_DEFAULT_CUSTOMER_FRAGMENT": "cf-1"}}, "a setting that this module makes of its own variables"),
    ({"environment": {"SECRET_VERSIONS": "x"}}, "a setting that this module makes of its own variables"),
    ({"environment": {"GATEWARD_ADMIN_ACCESS_KEY": "x"}}, "a setting that this module makes of its own variables"),
    ({"readable_secret_arns": ["db"]}, "readable_secret_arns is the ARN of a secret"),
    ({"secret_kms_key_arns": ["alias/db"]}, "secret_kms_key_arns is the ARN of a KMS key"),
    ({"invocable_function_arns": ["orders"]}, "invocable_function_arns is the ARN of a function"),
    ({"assumable_role_arns": ["reader"]}, "assumable_role_arns is the ARN of a role"),
    ({"cloudwatch_log_group_lambda_name": "a b"}, "cloudwatch_log_group_lambda_name is letters"),
    ({"log_retention_days": 31}, "log_retention_days is one of what CloudWatch has"),
    ({"api_gw_deploy_stage_name": "a/b"}, "api_gw_deploy_stage_name is letters"),
    ({"api_gw_authorization": "CUSTOM"}, "api_gw_authorization is NONE or AWS_IAM"),
    ({"api_gw_allowed_cidrs": ["203.0.113.0"]}, "api_gw_allowed_cidrs are address ranges"),
    ({"api_gw_vpc_endpoint_ids": ["one"]}, "api_gw_vpc_endpoint_ids is the id of an endpoint"),
    (
        {"api_gw_vpc_endpoint_ids": ["vpce-1"], "api_gw_allowed_cidrs": ["203.0.113.0/24"]},
        "A private API (api_gw_vpc_endpoint_ids) has no public addresses",
    ),
    ({"cloudwatch_event_rule_schedule": "rate(1 minutes)"}, "cloudwatch_event_rule_schedule is rate(1 minute)"),
    ({"cloudwatch_event_rule_schedule": "every minute"}, "cloudwatch_event_rule_schedule is rate(1 minute)"),
    ({"key_deletion_window_days": 6}, "key_deletion_window_days is from 7 to 30"),
    ({"ecr_repo_name": "Repo"}, "ecr_repo_name is lower case"),
    ({"package_file": "nowhere.zip"}, "package_file is not there"),
    ({"package_type": "Image"}, "image_tag names an image"),
    ({"lambda_architecture": "mips"}, "lambda_architecture is x86_64 or arm64"),
]
