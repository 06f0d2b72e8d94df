"""Akeyless's own client library against native producers of a gateway: PostgreSQL users and AWS sessions.

Prints the credentials as one JSON object. The administrator comes from the environment, as for our own command.
"""

import argparse
import json
import os

import akeyless


def value(api, token, name):
    """A credential, by both calls that there are; the second knows texts alone."""
    plain = api.get_dynamic_secret_value(akeyless.GetDynamicSecretValue(name=name, token=token))
    texts = api.dynamic_secret_get_value(akeyless.DynamicSecretGetValue(name=name, token=token))
    assert plain.keys() == texts.keys() and all(isinstance(text, str) for text in texts.values()), plain.keys()
    return plain


def postgresql(api, token, settings):
    """Made by the newer call and by the older one, changed, described, renewed, revoked, deleted."""
    place = dict(
        postgresql_port=settings.port,
        postgresql_db_name="postgres",
        postgresql_username="admin",
        postgresql_password=settings.password,
    )
    new = akeyless.DynamicSecretCreatePostgreSql(name="/native/new", token=token, tags=["t"], **place)
    made = api.dynamic_secret_create_postgre_sql(new).dynamic_secret_details
    assert (made.dynamic_secret_name, made.dynamic_secret_type) == ("/native/new", "postgresql"), made
    old = akeyless.GatewayCreateProducerPostgreSQL(name="/native/old", token=token, **place)
    assert api.gateway_create_producer_postgre_sql(old).producer_details.dynamic_secret_name == "/native/old"
    change = akeyless.DynamicSecretUpdatePostgreSql(name="/native/new", token=token, password_length="32", **place)
    api.dynamic_secret_update_postgre_sql(change)
    change = akeyless.GatewayUpdateProducerPostgreSQL(name="/native/old", token=token, user_ttl="30m", **place)
    assert api.gateway_update_producer_postgre_sql(change).producer_details.user_ttl == "30m"
    known = api.dynamic_secret_get(akeyless.DynamicSecretGet(name="/native/new", token=token))
    assert (known.db_host_name, known.db_port, known.db_user_name) == ("127.0.0.1", settings.port, "admin"), known
    assert settings.password not in str(known)

    credential = value(api, token, "/native/new")
    leases = api.dynamic_secret_tmp_creds_get(akeyless.DynamicSecretTmpCredsGet(name="/native/new", token=token))
    assert [lease.dynamic_secret_type for lease in leases] == ["postgresql"] * 2, leases
    renewal = dict(name="/native/new", token=token, tmp_creds_id=leases[0].id, new_ttl_min=5, host="")
    api.dynamic_secret_tmp_creds_update(akeyless.DynamicSecretTmpCredsUpdate(**renewal))
    revocation = akeyless.DynamicSecretTmpCredsDelete(name="/native/new", token=token, revoke_all=True)
    api.dynamic_secret_tmp_creds_delete(revocation)
    for name in ("/native/new", "/native/old"):
        api.dynamic_secret_delete(akeyless.DynamicSecretDelete(name=name, token=token))
    return credential


def aws(api, token, settings):
    """Made by the newer call and by the older one, and changed."""
    role = dict(access_mode="assume_role", aws_role_arns=settings.role, aws_access_key_id="AKIDEXAMPLE")
    secret = dict(aws_access_secret_key=settings.aws_key, **role)
    new = akeyless.DynamicSecretCreateAws(name="/native/aws", token=token, session_tags="team=blue", **secret)
    made = api.dynamic_secret_create_aws(new).dynamic_secret_details
    assert (made.dynamic_secret_type, made.aws_access_mode) == ("aws", "assume_role"), made
    old = akeyless.GatewayCreateProducerAws(name="/native/aws-old", token=token, **secret)
    assert api.gateway_create_producer_aws(old).producer_details.aws_role_arns == settings.role
    change = akeyless.DynamicSecretUpdateAws(name="/native/aws", token=token, user_ttl="15m", **secret)
    api.dynamic_secret_update_aws(change)
    return value(api, token, "/native/aws")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("gateway", "port", "password", "role", "aws_key"):
        parser.add_argument(name)
    settings = parser.parse_args()
    api = akeyless.V2Api(akeyless.ApiClient(akeyless.Configuration(host=settings.gateway)))
    administrator = akeyless.Auth(
        access_id=os.environ["GATEWARD_ADMIN_ACCESS_ID"], access_key=os.environ["GATEWARD_ADMIN_ACCESS_KEY"]
    )
    token = api.auth(administrator).token
    print(json.dumps({"postgresql": postgresql(api, token, settings), "aws": aws(api, token, settings)}))


if __name__ == "__main__":
    main()
