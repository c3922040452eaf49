-- Preferences of each user, one row for each key.
CREATE TABLE user_preferences (
    id INT PRIMARY KEY IDENTITY(1,1),
    user_id INT NOT NULL,
    preference_key NVARCHAR(100) NOT NULL,
    preference_value NVARCHAR(MAX),
    created_at DATETIME2 DEFAULT GETDATE()
);
