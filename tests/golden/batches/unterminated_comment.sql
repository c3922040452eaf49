SELECT 1;
/* outer /* inner */
GO
SELECT 2;
