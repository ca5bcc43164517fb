"""What is fast, and by how much; none of it runs in the tests."""
