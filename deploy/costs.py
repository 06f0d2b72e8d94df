"""Works out what a serverless gateway costs: an idle month, and a million requests. Prints docs/serverless.md's tables.

Prices are the list prices of us-east-2 in US dollars, without free tiers; look them up again before you rely on them.
"""

PRICES = {
    "Lambda, a million invocations": 0.20,
    "Lambda, a GB-second": 0.0000166667,
    "DynamoDB, a million reads": 0.125,
    "DynamoDB, a million writes": 0.625,
    "SQS, a million calls": 0.40,
    "KMS, a key for a month": 1.00,
    "KMS, 10 000 calls": 0.03,
    "Secrets Manager, a secret for a month": 0.40,
    "API Gateway (REST), a million requests": 3.50,
    "API Gateway (HTTP), a million requests": 1.00,
}

MEMORY_GB = 0.5
TICKS = 30 * 24 * 60
TICK_SECONDS = 0.02
# The head; what expires, is being deleted, is to be rotated; the due index for the announcements and for the turn; the store's
# name, its ticks and its hold.
TICK_READS = 9
# Five pollers of an event source mapping wait 20 s each for a message.
POLLS = 5 * 3 * TICKS
STARTS = 30 * 24
# DynamoDB keeps what KMS has opened for it for five minutes.
TABLE_KEY_USES = 30 * 24 * 12


def lambda_cost(invocations, seconds):
    duration = invocations * seconds * MEMORY_GB * PRICES["Lambda, a GB-second"]
    return invocations / 1e6 * PRICES["Lambda, a million invocations"] + duration


def idle_month():
    return {
        f"Lambda: {TICKS} ticks of {TICK_SECONDS * 1000:.0f} ms with {MEMORY_GB * 1024:.0f} MiB": lambda_cost(TICKS, TICK_SECONDS),
        f"DynamoDB: {TICK_READS} reads a tick": TICKS * TICK_READS / 1e6 * PRICES["DynamoDB, a million reads"],
        "SQS: the queue is asked": POLLS / 1e6 * PRICES["SQS, a million calls"],
        f"KMS: the key, {STARTS} starts, and the table's use of it": PRICES["KMS, a key for a month"]
        + (STARTS + TABLE_KEY_USES) / 10_000 * PRICES["KMS, 10 000 calls"],
        "Secrets Manager: the access key, and fragments": 2 * PRICES["Secrets Manager, a secret for a month"],
    }


def million_requests(seconds):
    return {
        "API Gateway, REST": PRICES["API Gateway (REST), a million requests"],
        f"Lambda: {seconds * 1000:.0f} ms each": lambda_cost(1_000_000, seconds),
    }


# Items that a credential's transactions write and check, by itself and without a cap, an idempotency key or a producer that is asked
# again: INTENT 5 and 2, ACTIVE 4 and 2, the claim 5 and 1, REVOKED 8. A test of the leases counts them.
WRITTEN = 22
CHECKED = 5
# Its tombstone, and the record of who held it.
FORGOTTEN = 2
# A transaction pays twice for each item of up to 1 KB, also for one that it only checks.
TRANSACTIONAL = 2
# Some 6 for the caller and the item, 3 where it is issued, 10 where it is revoked, and 5 for each of three messages that find nothing.
CREDENTIAL_READS = 34


def million_credentials():
    writes = TRANSACTIONAL * (WRITTEN + CHECKED + FORGOTTEN)
    return {
        "a million requests of 100 ms": sum(million_requests(0.1).values()),
        f"DynamoDB: {writes} writes each": writes * PRICES["DynamoDB, a million writes"],
        f"DynamoDB: {CREDENTIAL_READS} reads each": CREDENTIAL_READS * PRICES["DynamoDB, a million reads"],
        # One when it is issued, two by ticks, and its share of the rounds; each sent, received and deleted.
        "SQS: four messages each": 4 * 3 * PRICES["SQS, a million calls"],
        "Lambda: their revocation, 100 ms each": lambda_cost(1_000_000, 0.1),
        "Lambda: the messages that find nothing left to do, 20 ms each": lambda_cost(3_000_000, 0.02),
    }


def show(title, lines):
    print(f"| {title} | US$ |\n|---|---:|")
    for line, cost in lines.items():
        print(f"| {line} | {cost:.2f} |")
    print(f"| together | {sum(lines.values()):.2f} |\n")


if __name__ == "__main__":
    show("an idle month", idle_month())
    show("a million requests that wait 20 ms for their upstream", million_requests(0.02))
    show("a million credentials, issued and revoked", million_credentials())
