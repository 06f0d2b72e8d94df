"""Akeyless's own client library against a gateway: log in, create, get, list, change, rotate, delete.

Prints what it was answered as one JSON object. The administrator comes from the environment, as for our own command.
"""

import argparse
import json
import os

import akeyless


def a_dynamic_secret_is_an_item(api, token, settings):
    """Described, listed, changed and rotated. Gives what it is like then."""
    name = settings.name
    described = api.describe_item(akeyless.DescribeItem(name=name, token=token))
    assert (described.item_type, described.item_state) == ("DYNAMIC_SECRET", "Enabled"), described
    change = akeyless.DynamicSecretUpdateCustom(
        name=name,
        token=token,
        create_sync_url=settings.create_sync_url,
        revoke_sync_url=settings.revoke_sync_url,
        rotate_sync_url=settings.rotate_url,
        user_ttl="20m",
        tags=["vendor"],
    )
    changed = api.dynamic_secret_update_custom(dynamic_secret_update_custom=change).dynamic_secret_details
    api.rotate_secret(akeyless.RotateSecret(name=name, token=token))
    known = api.dynamic_secret_get(akeyless.DynamicSecretGet(name=name, token=token))
    assert known.last_admin_rotation > 0 and known.payload is None, known
    listed = api.dynamic_secret_list(akeyless.DynamicSecretList(token=token))
    assert name in [producer.name for producer in listed.producers], listed
    assert api.get_tags(akeyless.GetTags(name=name, token=token)) == ["vendor"]
    return {"user_ttl": changed.user_ttl, "active": known.active}


def static_secrets(api, token, value):
    """One from its creation to its end; and what the library makes of a refusal."""
    name, other = "/vendor/static", "/vendor/other"

    def read(**which):
        return api.get_secret_value(akeyless.GetSecretValue(names=[name], token=token, **which))[name]

    created = api.create_secret(akeyless.CreateSecret(name=name, value=value, token=token, tags=["a"]))
    assert created.name == name, created
    assert read() == value
    api.update_secret_val(akeyless.UpdateSecretVal(name=name, value=value + "-2", keep_prev_version="true", token=token))
    assert (read(), read(version=1)) == (value + "-2", value)
    back = api.rollback_secret(akeyless.RollbackSecret(name=name, old_version=1, token=token))
    assert (back.version, read()) == (3, value)
    described = api.describe_item(akeyless.DescribeItem(name=name, token=token, show_versions=True))
    assert (described.item_type, described.last_version) == ("STATIC_SECRET", 3), described
    assert [version.version for version in described.item_versions] == [3, 2, 1]
    api.create_secret(akeyless.CreateSecret(name=other, value=value, token=token))
    page = api.list_items(akeyless.ListItems(token=token, path="/vendor", type=["static-secret"]))
    assert [item.item_name for item in page.items] == [other, name], page
    assert value not in str(page.to_dict())
    change = akeyless.UpdateItem(name=name, new_name="/vendor/renamed", add_tag=["b"], token=token)
    api.update_item(change)
    api.set_item_state(akeyless.SetItemState(name="/vendor/renamed", desired_state="Disabled", token=token))
    for gone in ("/vendor/renamed", other):
        deleted = api.delete_item(akeyless.DeleteItem(name=gone, token=token))
        assert deleted.item_name == gone, deleted
    try:
        read()
        raise AssertionError("a deleted secret was read")
    except akeyless.ApiException as error:
        assert error.status == 404, error
        assert "/vendor/static" in json.loads(error.body)["error"]


def rotated_secrets(api, token, settings):
    """A target and a rotated secret of it."""
    target, name = "/vendor/target", "/vendor/rotated"
    api.target_create_web(akeyless.TargetCreateWeb(name=target, url=settings.rotate_url, token=token))
    details = api.target_get_details(akeyless.TargetGetDetails(name=target, token=token))
    assert details.value.web_target_details.url == settings.rotate_url, details
    new = akeyless.RotatedSecretCreateCustom(
        name=name,
        target_name=target,
        custom_payload=settings.payload,
        auto_rotate="true",
        rotation_interval="60",
        token=token,
    )
    assert api.rotated_secret_create_custom(new).name == name

    def read(**which):
        value = akeyless.GetRotatedSecretValue(names=name, token=token, **which)
        return api.get_rotated_secret_value(value)["value"]["payload"]

    assert read() == settings.payload
    api.rotate_secret(akeyless.RotateSecret(name=name, token=token))
    assert (read(), read(version=1)) == (settings.rotated, settings.payload)
    described = api.describe_item(akeyless.DescribeItem(name=name, token=token))
    assert described.auto_rotate and described.item_targets_assoc[0].target_name == target, described
    listed = api.rotated_secret_list(akeyless.RotatedSecretList(token=token))
    assert [producer.name for producer in listed.producers] == [name], listed
    api.rotated_secret_delete(akeyless.RotatedSecretDelete(name=name, token=token))
    api.target_delete(akeyless.TargetDelete(name=target, token=token))


def who_may(api, token):
    """Auth methods, entries of allowed access, and what the gateway tells of itself."""
    method, other, entry = "vendor-key", "vendor-aws", "vendor-entry"
    made = api.auth_method_create_api_key(akeyless.AuthMethodCreateApiKey(name=method, token=token))
    accounts = ["123456789012"]
    aws = akeyless.AuthMethodCreateAwsIam(name=other, bound_aws_account_id=accounts, token=token)
    api.auth_method_create_aws_iam(aws)
    for call, model in (
        (api.auth_method_get, akeyless.AuthMethodGet),
        (api.get_auth_method, akeyless.GetAuthMethod),
    ):
        got = call(model(name=method, token=token))
        assert (got.auth_method_name, got.auth_method_access_id) == (method, made.access_id), got
        assert got.creation_date.year >= 2020 and got.modification_date >= got.creation_date, got
        assert (got.access_info.rules_type, got.access_info.access_expires) == ("api_key", 0), got
    for call, model in (
        (api.auth_method_list, akeyless.AuthMethodList),
        (api.list_auth_methods, akeyless.ListAuthMethods),
    ):
        listed = {listed.auth_method_name: listed for listed in call(model(token=token)).auth_methods}
        assert {method, other} <= set(listed), listed
        assert listed[other].access_info.aws_iam_access_rules.account_id == accounts, listed[other]
    new = akeyless.GatewayCreateAllowedAccess(
        name=entry,
        access_id=made.access_id,
        permissions="dynamic_secret,targets",
        sub_claims={"group": "a,b"},
        token=token,
    )
    change = akeyless.GatewayUpdateAllowedAccess(
        name=entry, access_id=made.access_id, permissions="targets", token=token
    )
    which = akeyless.GatewayGetAllowedAccess(name=entry, token=token)
    for got, permissions in (
        (api.gateway_create_allowed_access(new), ["dynamic_secret", "targets"]),
        (api.gateway_get_allowed_access(which), ["dynamic_secret", "targets"]),
        (api.gateway_update_allowed_access(change), ["targets"]),
    ):
        assert (got.name, got.access_id, got.permissions) == (entry, made.access_id, permissions), got
        assert got.sub_claims == {"group": ["a", "b"]} and got.updated_at >= got.created_at, got
    config = api.gateway_get_config(akeyless.GatewayGetConfig(token=token))
    known = config.admins.allowed_access[entry]
    assert (known.name, known.acc_id, known.access_permissions) == (entry, made.access_id, ["targets"]), known
    which = akeyless.DescribePermissions(path="/vendor/static", type="item", token=token)
    assert "read" in api.describe_permissions(which).client_permissions
    assert api.describe_sub_claims(akeyless.DescribeSubClaims(token=token)).sub_claims == {}
    gone = api.gateway_delete_allowed_access(akeyless.GatewayDeleteAllowedAccess(name=entry, token=token))
    assert gone.allowed_access_name == entry, gone
    for name in (method, other):
        assert api.auth_method_delete(akeyless.AuthMethodDelete(name=name, token=token)).name == name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("gateway", "name", "create_sync_url", "revoke_sync_url", "rotate_url", "payload", "rotated"):
        parser.add_argument(name)
    settings = parser.parse_args()
    name = settings.name
    api = akeyless.V2Api(akeyless.ApiClient(akeyless.Configuration(host=settings.gateway)))

    def login(access_key):
        return api.auth(akeyless.Auth(access_id=os.environ["GATEWARD_ADMIN_ACCESS_ID"], access_key=access_key)).token

    try:
        login("wrong")
        refused = None
    except akeyless.ApiException as error:
        refused = error.status
    token = login(os.environ["GATEWARD_ADMIN_ACCESS_KEY"])

    item = akeyless.DynamicSecretCreateCustom(
        name=name,
        token=token,
        create_sync_url=settings.create_sync_url,
        revoke_sync_url=settings.revoke_sync_url,
        payload=settings.payload,
        user_ttl="10m",
    )
    created = api.dynamic_secret_create_custom(dynamic_secret_create_custom=item)
    value = api.get_dynamic_secret_value(akeyless.GetDynamicSecretValue(name=name, token=token, args=["a=b"]))
    leases = api.dynamic_secret_tmp_creds_get(akeyless.DynamicSecretTmpCredsGet(name=name, token=token))
    # The library's model of a lease leaves out what it does not know; the id by which we find it is one of those.
    listed = api.dynamic_secret_tmp_creds_get(
        akeyless.DynamicSecretTmpCredsGet(name=name, token=token), _preload_content=False
    )
    lease = json.loads(listed.data)[0]
    assert [lease["id"]] == [known.id for known in leases], leases
    api.dynamic_secret_tmp_creds_delete(
        akeyless.DynamicSecretTmpCredsDelete(name=name, token=token, tmp_creds_id=lease["id"])
    )
    changed = a_dynamic_secret_is_an_item(api, token, settings)
    deleted = api.dynamic_secret_delete(akeyless.DynamicSecretDelete(name=name, token=token))
    static_secrets(api, token, settings.payload)
    rotated_secrets(api, token, settings)
    who_may(api, token)
    told = {
        "refused": refused,
        "created": created.dynamic_secret_details.dynamic_secret_name,
        "value": value if isinstance(value, dict) else value.to_dict(),
        "lease": lease,
        "changed": changed,
        "deleted": deleted.dynamic_secret_name if hasattr(deleted, "dynamic_secret_name") else deleted,
    }
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
