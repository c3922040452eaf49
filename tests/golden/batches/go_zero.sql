SELECT 1;
  GO 0 -- not now
