PRINT 'It''s text:
GO
';
PRINT N'-- no comment';
GO
SELECT "
GO
""" AS [a ]] bracket
GO
]
GO
/* outer
   /* inner */
GO
*/ GO
SELECT 1 -- ' " [ /*
GO
/*
*/
GO
/**/GO
SELECT 2;
