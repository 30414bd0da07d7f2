"""Work for the allocator: page traffic recorded from a kernel, page traffic made up, and who replays it."""
