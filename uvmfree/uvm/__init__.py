"""The page allocator: pages, free lists, counters, and the designs that arrange locks around them."""
