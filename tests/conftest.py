"""What every test may ask for; it stands in a module of its own name, so that tests can import its classes too."""

from redis_servers import (  # noqa: F401 -- fixtures and hooks, found by their names
    certificates,
    new_partitioned_set,
    new_redis_cluster,
    new_sentinel_set,
    pytest_hand_over_what_is_untested,
    pytest_say_what_is_untested,
    pytest_take_over_what_is_untested,
    redis_cluster,
    sentinel_set,
    tls_redis,
)
from store_nodes import (  # noqa: F401 -- fixtures and hooks, found by their names
    backend_name,
    figures,
    memory_nodes,
    nodes,
    own_nodes,
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    redis_server,
    rng,
    scale,
    store,
)
