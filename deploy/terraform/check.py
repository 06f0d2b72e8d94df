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
from cases import AWS_IAM, CANARY, GOOD, INTERTWINED, OTHER_WAYS, RIGHT, ROLE, WRONG

MODULE = HERE / "aws"
PROVIDER = "registry.terraform.io/hashicorp/aws"
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
        opened = look_at_callers(example / "terraform.tfstate", url, None)
        # A new key is noticed, though the state does not hold the old one, and functions that run with the old one end.
        new_key = {"admin_access_key": CANARY + "x"}
        closing = {**new_key, "default_customer_fragment": "cf-1", "api_gw_allowed_cidrs": ["203.0.113.0/24"]}
        command("apply", "-no-color", "-input=false", "-auto-approve", "-refresh=false", changes=closing)
        look_at_state(example / "terraform.tfstate")
        renewed = look_at_function(url)
        changed = {name for name in variables | renewed if variables.get(name) != renewed.get(name)}
        assert changed == {"SECRET_VERSIONS", "GATEWARD_DEFAULT_CUSTOMER_FRAGMENT"}, (variables, renewed)
        assert renewed["GATEWARD_DEFAULT_CUSTOMER_FRAGMENT"] == "cf-1", renewed
        # What closes the API goes with its variable, and each time the stage gets a copy of what there is now.
        closed = look_at_callers(example / "terraform.tfstate", url, {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}})
        command("apply", "-no-color", "-input=false", "-auto-approve", "-refresh=false", changes=new_key)
        opened_again = look_at_callers(example / "terraform.tfstate", url, None)
        assert len({opened, closed, opened_again}) == 3, (opened, closed, opened_again)
        command("plan", "-no-color", "-input=false", "-out", "second.plan", changes=new_key)
        look_at_plan(json.loads(command("show", "-json", "second.plan", changes=new_key)))
        told = command("plan", *AS_IT_IS, changes=AWS_IAM, expected=2)
        assert ROLE in told and "events:PutEvents" in told, told
        for changes, expected in OTHER_WAYS:
            told = command("plan", *AS_IT_IS, "-out", "other.plan", changes=changes, expected=2)
            missing = [words for words in expected if words not in told]
            assert not missing, f"{changes}: {missing} not in {told}"
            plan = json.loads(command("show", "-json", "other.plan", changes=changes))
            look_at_network(plan, "vpc_subnet_ids" in changes)
            look_at_dead_letters(plan)
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


# API Gateway tells an API's policy with its quotation marks escaped, and the provider counts on it. moto tells it plainly.
MOTO = """
import json, sys
from moto.apigateway.models import RestAPI
from moto.server import main

plain = RestAPI.to_dict

def escaped(self):
    told = plain(self)
    if told.get("policy"):
        told["policy"] = json.dumps(told["policy"])[1:-1]
    return told

RestAPI.to_dict = escaped
main(sys.argv[1:])
"""


def start_moto(place):
    """A moto on a free port, and its URL."""
    log = open(place / "moto.log", "w+")
    moto = subprocess.Popen([sys.executable, "-c", MOTO, "-H", "127.0.0.1", "-p", "0"], stdout=log, stderr=subprocess.STDOUT)
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


def look_at_callers(state, url, denied):
    """Who may call the API: everybody, but for those whom the condition `denied` names. Tells which deployment says so."""
    resources = json.loads(state.read_text())["resources"]
    stage = next(resource for resource in resources if resource["type"] == "aws_api_gateway_stage")["instances"][0]["attributes"]
    api = json.loads(ask(url, "apigateway", f"restapis/{stage['rest_api_id']}"))
    # Escaped, as API Gateway tells it.
    allow, *deny = json.loads(json.loads(f'"{api["policy"]}"'))["Statement"]
    assert (allow["Effect"], allow["Principal"], "Condition" in allow) == ("Allow", {"AWS": "*"}, False), allow
    expected = [("Deny", denied)] if denied else []
    assert [(statement["Effect"], statement["Condition"]) for statement in deny] == expected, deny
    return stage["deployment_id"]


def look_at_dead_letters(plan):
    """Whatever the function's timeout, a message that waited for its moment is there still when its last try is over."""
    changes = {resource["address"]: resource["change"] for resource in plan["resource_changes"]}
    queue = changes["module.gateway.aws_sqs_queue.revocations"]["after"]
    timeout = changes["module.gateway.aws_lambda_function.gateway"]["after"]["timeout"]
    tries = json.loads(queue["redrive_policy"])["maxReceiveCount"]
    hidden, lasts = queue["visibility_timeout_seconds"], queue["message_retention_seconds"]
    assert hidden >= 6 * timeout and lasts >= 15 * 60 + tries * hidden + 60, (timeout, tries, hidden, lasts)


def ask_lambda(url, path):
    return ask(url, "lambda", path)


def ask(url, service, path):
    authorization = f"AWS4-HMAC-SHA256 Credential=check/20260101/us-east-2/{service}/aws4_request, SignedHeaders=host, Signature=0"
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
