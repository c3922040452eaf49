-- Block comments do not nest, the first ] ends a name, and backticks quote.
/* outer /* still outer
GO
*/
GO
CREATE TABLE [a]] -- this name is a
(x TEXT DEFAULT 'GO
GO
', `b``
GO
c` INT, "d""
GO
e" INT);
GO
SELECT 1;
