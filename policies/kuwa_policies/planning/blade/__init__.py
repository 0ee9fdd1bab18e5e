"""Work with a dozer blade: levelling a rectangle in lanes, and pushing a heap out of one."""
