

GO

   
SELECT 1;

GO
GO

SELECT 2;


