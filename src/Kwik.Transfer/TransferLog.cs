using Kwik.Data;
using Microsoft.Extensions.Logging;

namespace Kwik.Transfer;

/// <summary>Everything that file transfer logs, each with its own number; the session's are below 100.</summary>
internal static partial class TransferLog
{
    [LoggerMessage(100, LogLevel.Warning, "'{File}' cannot be served: {Reason}")]
    public static partial void FileUnreadable(ILogger logger, string file, string reason);

    [LoggerMessage(101, LogLevel.Information, "Session {SessionId}: offered '{Path}', {Length} bytes.")]
    public static partial void FileOffered(ILogger logger, Guid sessionId, string path, long length);

    [LoggerMessage(102, LogLevel.Information, "Session {SessionId}: refused '{Path}' with {Code}. {Reason}")]
    public static partial void FileRefused(ILogger logger, Guid sessionId, string path, KwikError code, string reason);

    [LoggerMessage(103, LogLevel.Warning, "Session {SessionId}: the secondary server {Host}:{Port} was not added ({Code}). {Reason}")]
    public static partial void SecondaryNotAdded(ILogger logger, Guid sessionId, string host, int port, KwikError code, string reason);

    [LoggerMessage(104, LogLevel.Debug, "Session {SessionId}: the secondary server {Host}:{Port} is path {PathId}.")]
    public static partial void SecondaryAdded(ILogger logger, Guid sessionId, string host, int port, int pathId);

    [LoggerMessage(105, LogLevel.Warning, "No trees of files are kept in '{Place}'. {Reason}")]
    public static partial void TreeCacheFailed(ILogger logger, string place, string reason);

    [LoggerMessage(106, LogLevel.Warning, "The cached tree '{Place}' of '{File}' is damaged; the file is read again.")]
    public static partial void TreeDamaged(ILogger logger, string place, string file);
}
