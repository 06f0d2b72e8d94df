"""Akeyless's own client library against a gateway: log in, create, get, list, delete.

Prints what it was answered as one JSON object. The administrator comes from the environment, as for our own command.
"""

import argparse
import json
import os

import akeyless


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("gateway", "name", "create_sync_url", "revoke_sync_url", "payload"):
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
    deleted = api.dynamic_secret_delete(akeyless.DynamicSecretDelete(name=name, token=token))
    told = {
        "refused": refused,
        "created": created.dynamic_secret_details.dynamic_secret_name,
        "value": value if isinstance(value, dict) else value.to_dict(),
        "lease": lease,
        "deleted": deleted.dynamic_secret_name if hasattr(deleted, "dynamic_secret_name") else deleted,
    }
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
