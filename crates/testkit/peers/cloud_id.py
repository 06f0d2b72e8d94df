"""Prints a cloud id as the vendor's packages make it, signed by botocore, which shares no code with Gateward.

    cloud_id.py STYLE ACCESS_KEY SECRET_KEY [SESSION_TOKEN]

The style is `python` (the global endpoint, two spaces in Authorization), `go` (a regional endpoint, neither Host nor
Content-Length among the headers, no character set) or `js` (Host among the headers).
"""

import base64
import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BODY = "Action=GetCallerIdentity&Version=2011-06-15"


def cloud_id(style, access_key, secret_key, token=None):
    region = "eu-west-1" if style == "go" else "us-east-1"
    host = "sts.eu-west-1.amazonaws.com" if style == "go" else "sts.amazonaws.com"
    form = "application/x-www-form-urlencoded" + ("" if style == "go" else "; charset=utf-8")
    headers = {"Content-Type": form, "Content-Length": str(len(BODY)), "Host": host}
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=BODY)
    SigV4Auth(Credentials(access_key, secret_key, token), "sts", region).add_auth(request)
    told = {name: [value] for name, value in request.headers.items()}
    if style == "python":
        told["Authorization"] = [told["Authorization"][0].replace(", SignedHeaders", ",  SignedHeaders")]
        told["User-Agent"] = ["aws-sdk-python"]
    if style == "go":
        told.pop("Content-Length")
    if style != "js":
        told.pop("Host")
    encoded = {
        "sts_request_method": "POST",
        "sts_request_url": base64.b64encode(f"https://{host}/".encode()).decode(),
        "sts_request_body": base64.b64encode(BODY.encode()).decode(),
        "sts_request_headers": base64.b64encode(json.dumps(told).encode()).decode(),
    }
    return base64.b64encode(json.dumps(encoded).encode()).decode()


if __name__ == "__main__":
    print(cloud_id(*sys.argv[1:]))
