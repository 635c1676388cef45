"""Create a topic, or read it from its beginning: all that the tutorial needs of Kafka's own tools.

python examples/tutorial/topic.py create orders.events --servers kafka.example.com:9092
python examples/tutorial/topic.py read orders.events --servers kafka.example.com:9092
"""

import argparse

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

QUIET_SECONDS = 5


def create(topic: str, servers: str) -> None:
    """Make the topic, with three partitions."""
    client = AdminClient({"bootstrap.servers": servers})
    client.create_topics([NewTopic(topic, 3, 1)])[topic].result(30)
    print(f"created {topic}")


def read(topic: str, servers: str) -> None:
    """Print what is in the topic, until nothing has come for a few seconds."""
    # Nothing is committed, so that whoever reads again begins at the beginning again.
    settings = {"group.id": "tutorial", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({"bootstrap.servers": servers, **settings})
    consumer.subscribe([topic])
    seen = 0
    while (message := consumer.poll(QUIET_SECONDS if seen else 30)) is not None:
        if message.error():
            raise KafkaException(message.error())
        seen += 1
        if seen <= 10:
            headers = {name: (value or b"").decode() for name, value in message.headers() or []}
            key, value = (message.key() or b"").decode(), (message.value() or b"").decode()
            print(f"{key}  {headers.get('type')}  {value[:60]}  id {headers.get('id')}")
    consumer.close()
    print(f"{seen} messages")


def main() -> None:
    """Parse the arguments and act."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("create", "read"))
    parser.add_argument("topic")
    parser.add_argument("--servers", required=True, help="brokers as host:port, joined by commas, without TLS")
    options = parser.parse_args()
    {"create": create, "read": read}[options.action](options.topic, options.servers)


if __name__ == "__main__":
    main()
