-- Links about no run: what stands against changes, and what retention did. There are few of them among very many.
CREATE INDEX chain_of_no_run ON chain (seq) WHERE run IS NULL;
