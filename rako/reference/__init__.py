"""The API told from its schema: links, examples, pages, a Postman collection, llms.txt."""
