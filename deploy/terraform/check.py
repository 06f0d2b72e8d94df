"""Checks the Terraform module: its layout, and, where the AWS provider is on this machine, a whole life of it against moto.

    deploy/terraform/check.py [GATEWARD]

What its variables must refuse; init, validate, apply, a second plan that finds nothing to do, destroy, and a look at the
state for secrets. In between, the binary GATEWARD (or the one in a zip) lives as the function: with the environment that
the module gave it, on the table, key, secrets and queue that the module made. The provider comes from a folder of this
machine (no registry is asked): one that TF_PLUGIN_DIR names, or the first that holds registry.terraform.io/hashicorp/aws.
Without one, only layout and variables are checked, and that is said.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import function_life
MODULE = HERE / "aws"
# What the gateway knows: the module must know the same.
PERMISSIONS = re.findall(r'Self::\w+ => "(\w+)"', (HERE.parents[1] / "crates/access/src/permission.rs").read_text())
PROVIDER = "registry.terraform.io/hashicorp/aws"
CANARY = "Y2FuYXJ5LW9mLXRoZS10ZXJyYWZvcm0tY2hlY2stYW5kLWxvbmctZW5vdWdo"
SERVICES = "apigateway dynamodb ec2 ecr events iam kms lambda logs secretsmanager sqs sts"


AS_IT_IS = ["-no-color", "-input=false", "-refresh=false", "-detailed-exitcode"]


def main():
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    binary = sys.argv[1] if len(sys.argv) == 2 else None
    terraform = shutil.which("terraform")
    if terraform is None:
        sys.exit(not_run("there is no terraform on this machine"))
    run([terraform, "fmt", "-check", "-diff", "-recursive", str(HERE)])
    with tempfile.TemporaryDirectory() as place:
        refuse(terraform, pathlib.Path(place))
        folder = provider_folder()
        if folder is None:
            sys.exit(not_run(f"the provider {PROVIDER} is not on this machine, and no registry is asked for it"))
        live(terraform, folder, pathlib.Path(place), binary)
    lived = "the function lived with what was made" if binary else "NO FUNCTION LIVED: no binary was given"
    print("terraform: wrong variables refused; applied, planned again with nothing to do, destroyed; no secret in the state;", lived)


def not_run(why):
    print(f"!! NOT RUN: of the Terraform module only layout and variables were checked: {why}", file=sys.stderr)
    return 0


def provider_folder():
    """The folder that a filesystem mirror is made of, if there is one."""
    named = os.environ.get("TF_PLUGIN_DIR")
    if named:
        return pathlib.Path(named)
    roots = [pathlib.Path("/opt"), pathlib.Path("/usr/share/terraform"), pathlib.Path.home() / ".terraform.d"]
    for root in roots:
        for found in root.glob(f"*/{PROVIDER}"):
            return found.parents[2]
    return None


def live(terraform, folder, place, binary):
    """The life of the root example, in a copy of it."""
    shutil.copytree(MODULE, place / "aws", ignore=shutil.ignore_patterns(".terraform*", "terraform.tfstate*"))
    example = place / "aws" / "examples" / "root"
    package = place / "function.zip"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("bootstrap", "#!/bin/sh\n")
    moto, url = start_moto(place)
    try:
        write_settings(place, folder, example, url)
        environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(place / "terraform.rc"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_ACCESS_KEY_ID": "check",
            "AWS_SECRET_ACCESS_KEY": "check",
        }
        for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            environment.pop(proxy, None)

        def command(*words, changes=None, expected=0):
            given = {**RIGHT, "package_file": str(package), "aws_profile": None, **(changes or {})}
            (example / "check.auto.tfvars.json").write_text(json.dumps(given))
            return run([terraform, *words], cwd=example, env=environment, expected=expected)

        command("init", "-no-color", "-input=false")
        command("validate", "-no-color")
        command("apply", "-no-color", "-input=false", "-auto-approve")
        look_at_state(example / "terraform.tfstate")
        look_at_role(example / "terraform.tfstate")
        variables = look_at_function(url)
        look_at_ticks(url)
        if binary:
            function_life.live(binary, place, url, variables, access_id="p-check", access_key=CANARY)
        command("plan", "-no-color", "-input=false", "-out", "second.plan")
        look_at_plan(json.loads(command("show", "-json", "second.plan")))
        # A new key is noticed, though the state does not hold the old one, and functions that run with the old one end.
        new_key = {"admin_access_key": CANARY + "x"}
        command("apply", "-no-color", "-input=false", "-auto-approve", "-refresh=false", changes=new_key)
        look_at_state(example / "terraform.tfstate")
        renewed = look_at_function(url)
        changed = {name for name in variables | renewed if variables.get(name) != renewed.get(name)}
        assert changed == {"SECRET_VERSIONS"}, (variables, renewed)
        told = command("plan", *AS_IT_IS, changes=AWS_IAM, expected=2)
        assert ROLE in told and "events:PutEvents" in told, told
        for changes, expected in OTHER_WAYS:
            told = command("plan", *AS_IT_IS, "-out", "other.plan", changes=changes, expected=2)
            missing = [words for words in expected if words not in told]
            assert not missing, f"{changes}: {missing} not in {told}"
            look_at_network(json.loads(command("show", "-json", "other.plan", changes=changes)), "vpc_subnet_ids" in changes)
        command("destroy", "-no-color", "-input=false", "-auto-approve")
        left = json.loads((example / "terraform.tfstate").read_text())["resources"]
        assert left == [], left
    finally:
        moto.terminate()
        moto.wait()


def refuse(terraform, place):
    """What the variables refuse. They stand in a folder of their own here: no provider is needed to look at them."""
    alone = place / "variables"
    alone.mkdir()
    shutil.copy(MODULE / "variables.tf", alone)
    package = place / "any.zip"
    package.touch()
    run([terraform, "init", "-no-color"], cwd=alone)
    (alone / "kept.tf").write_text(
        'output "fragments" {\n  value = nonsensitive(local.has_fragments ? length(local.customer_fragments) : 0)\n}\n'
    )
    for changes, sentences in together([(changes, None) for changes in GOOD]) + together(WRONG):
        given = {**RIGHT, "package_file": str(package), **changes}
        (alone / "check.auto.tfvars.json").write_text(json.dumps(given))
        told = run([terraform, "plan", "-no-color", "-input=false"], cwd=alone, expected=1 if sentences else 0)
        # What is not refused is kept, whatever its form.
        sentences = sentences or [f"+ fragments = {json.dumps(given['customer_fragments']).count('cf-')} "]
        words = " ".join(told.replace("│", " ").split())
        missing = [sentence for sentence in sentences if sentence not in words]
        assert not missing, f"{changes}: {missing} not in {told}"


def together(cases):
    """The same cases in fewer plans, each of which tells of all that is wrong: those that are about one variable alone."""
    plans = []
    for changes, sentence in cases:
        is_alone = len(changes) == 1 and not next(iter(changes)).startswith(INTERTWINED)
        fits = (plan for plan, shares in plans if is_alone and shares and not plan[0].keys() & changes.keys())
        plan = next(fits, None)
        if plan is None:
            plan = ({}, [])
            plans.append((plan, is_alone))
        plan[0].update(changes)
        plan[1].extend([sentence] if sentence else [])
    plans = [plan for plan, _ in plans]
    return plans


# Variables of which one decides about another.
INTERTWINED = ("admin_", "api_gw_vpc_", "customer_fragments_", "image_", "package_", "vpc_")

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
    {"environment": {"GATEWARD_LOG": "debug", "GATEWARD_DEFAULT_CUSTOMER_FRAGMENT": "cf-1", "SHOWN": "x"}},
    {"cloudwatch_event_rule_schedule": "cron(* * * * ? *)", "log_retention_days": 0},
    {"readable_secret_arns": ["arn:aws:secretsmanager:us-east-2:123456789012:secret:team/*"]},
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
        ["aws_ecr_repository", '"arm64"', '"PRIVATE"', '"AWS_IAM"', "vpce-0a1b2c3d", "aws:SourceVpce"],
    ),
    (
        {
            "api_gw_allowed_cidrs": ["203.0.113.0/24", "2001:db8::/32"],
            "vpc_subnet_ids": ["subnet-0a1b2c3d"],
            "vpc_security_group_ids": ["sg-0a1b2c3d"],
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
    ({"environment": {"SECRET_VERSIONS": "x"}}, "a setting that this module makes of its own variables"),
    ({"environment": {"GATEWARD_ADMIN_ACCESS_KEY": "x"}}, "a setting that this module makes of its own variables"),
    ({"readable_secret_arns": ["db"]}, "readable_secret_arns is the ARN of a secret"),
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


def start_moto(place):
    """A moto on a free port, and its URL."""
    server = pathlib.Path(sys.executable).parent / "moto_server"
    log = open(place / "moto.log", "w+")
    moto = subprocess.Popen([server, "-H", "127.0.0.1", "-p", "0"], stdout=log, stderr=subprocess.STDOUT)
    while moto.poll() is None:
        found = re.search(r"Running on (http://\S+)", (place / "moto.log").read_text())
        if found:
            return moto, found[1]
    sys.exit(f"moto did not start: {(place / 'moto.log').read_text()}")


def write_settings(place, folder, example, url):
    """Where the provider comes from, and where it finds AWS."""
    mirror = f'filesystem_mirror {{\n    path    = "{folder}"\n    include = ["{PROVIDER}"]\n  }}'
    (place / "terraform.rc").write_text(f"provider_installation {{\n  {mirror}\n}}\n")
    endpoints = "\n".join(f'    {service} = "{url}"' for service in SERVICES.split())
    (example / "provider_override.tf").write_text(
        f"""provider "aws" {{
  region                      = "us-east-2"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = false

  endpoints {{
{endpoints}
  }}
}}
"""
    )


# What moto does not keep of what it was told, so that a plan wants to say it again. AWS keeps it.
NOT_KEPT = {
    "module.gateway.aws_api_gateway_rest_api.gateway": {"binary_media_types"},
    "module.gateway.aws_lambda_function.gateway": {"logging_config"},
    # It answers with other white space, which AWS does not.
    "module.gateway.aws_sqs_queue.revocations": {"redrive_policy"},
}


def look_at_plan(plan):
    """Nothing is to be done after an apply, but for what moto has not kept."""
    for resource in plan["resource_changes"]:
        change, address = resource["change"], resource["address"]
        if change["actions"] in (["no-op"], ["read"]):
            continue
        assert change["actions"] == ["update"], f"{address}: {change['actions']}"
        unknown = {name for name, is_unknown in change["after_unknown"].items() if is_unknown}
        before, after = change["before"], change["after"]
        changed = unknown | {name for name in before | after if before.get(name) != after.get(name)}
        assert changed <= NOT_KEPT.get(address, set()), f"{address} would change: {changed}"


def look_at_state(state):
    text = state.read_text()
    assert CANARY not in text, "a secret stands in the state"
    outputs = {name: output["value"] for name, output in json.loads(text)["outputs"].items()}
    assert outputs["akeyless_serverless_gateway_url"] == outputs["gateward_url"] + "/console", outputs
    assert outputs["akeyless_serverless_gateway_url"].endswith("/default/console"), outputs
    assert outputs["aws_lambda_function"].endswith(":function:akeyless-serverless-gateway"), outputs
    assert ":/restapis/" in outputs["aws_api_gateway_rest_api"], outputs
    assert outputs.get("repository_url") is None, outputs


def look_at_role(state):
    """The role may do with the table what the documents say that a gateway needs, and nothing else."""
    resources = json.loads(state.read_text())["resources"]
    policies = [resource for resource in resources if (resource["type"], resource["name"]) == ("aws_iam_role_policy", "gateway")]
    policy = json.loads(policies[0]["instances"][0]["attributes"]["policy"])
    allowed = {action for statement in policy["Statement"] if statement["Sid"] == "Store" for action in statement["Action"]}
    documents = (HERE.parents[1] / "docs" / "serverless.md").read_text()
    documented = set(re.findall(r'"(dynamodb:\w+)"', documents))
    assert allowed == documented, f"the role: {allowed}; docs/serverless.md: {documented}"


def look_at_network(plan, is_in_vpc):
    """Lambda may make network interfaces where there are any, and what runs in the function may not."""
    changes = {resource["address"]: resource["change"] for resource in plan["resource_changes"]}
    policy = json.loads(changes["module.gateway.aws_iam_role_policy.gateway"]["after"]["policy"])
    effects = {"Allow": [], "Deny": []}
    for statement in policy["Statement"]:
        if any(action.startswith("ec2:") for action in statement["Action"]):
            effects[statement["Effect"]].append(statement)
    if not is_in_vpc:
        assert effects == {"Allow": [], "Deny": []}, effects
        return
    (allowed,), (denied,) = effects["Allow"], effects["Deny"]
    function = "arn:aws:lambda:us-east-2:123456789012:function:akeyless-serverless-gateway"
    assert denied["Condition"] == {"ArnEquals": {"lambda:SourceFunctionArn": function}}, denied
    assert set(allowed["Action"]) < set(denied["Action"]) and allowed["Resource"] == denied["Resource"] == ["*"], effects


def look_at_ticks(url):
    """What Lambda does with a tick that it could not bring to the function, or that failed there: nothing."""
    config = json.loads(ask_lambda(url, "2019-09-25/functions/akeyless-serverless-gateway/event-invoke-config"))
    kept = config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]
    assert kept == (0, 60), config


def ask_lambda(url, path):
    authorization = "AWS4-HMAC-SHA256 Credential=check/20260101/us-east-2/lambda/aws4_request, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(f"{url}/{path}", headers={"Authorization": authorization})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return answer.read().decode()


def look_at_function(url):
    """What whoever reads the function's configuration reads."""
    text = ask_lambda(url, "2015-03-31/functions/akeyless-serverless-gateway/configuration")
    variables = json.loads(text)["Environment"]["Variables"]
    assert CANARY not in text, "a secret stands in the function's environment"
    assert variables["GATEWARD_ADMIN_ACCESS_KEY"].startswith("{vault://aws/arn:aws:secretsmanager:"), variables
    assert variables["GATEWARD_CUSTOMER_FRAGMENTS"].startswith("{vault://aws/arn:aws:secretsmanager:"), variables
    assert len(set(variables["SECRET_VERSIONS"].split(","))) == 2, variables
    assert json.loads(variables["GATEWARD_ALLOWED_ACCESS_PERMISSIONS"])[0]["access_id"] == "p-2", variables
    return variables


def run(command, cwd=None, env=None, expected=0):
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    if done.returncode != expected:
        sys.exit(f"{' '.join(map(str, command[1:3]))} ended with {done.returncode} and not {expected}:\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
