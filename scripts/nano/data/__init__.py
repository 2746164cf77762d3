"""The toy world: pictures with known contents, and questions, thoughts and answers about them."""
