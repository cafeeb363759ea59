using System.Globalization;
using System.Net;
using System.Text;
using Kwik.Data;
using Kwik.Sessions;
using Microsoft.Extensions.Logging;

namespace Kwik.Transfer;

/// <summary>Everything that file transfer logs, each with its own number; the session's are below 100.</summary>
internal static partial class TransferLog
{
    /// <summary>
    /// A log line is a line, and says in quotes what a client asked for: what does not print, quotes and backslashes are escaped, so that two
    /// names, which come as UTF-8, never become one.
    /// </summary>
    public static string Escaped(string text)
    {
        var line = new StringBuilder(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool isPlain = PeerText.IsPrintable(rune) && rune.Value is not ('\\' or '\'');
            foreach (char c in rune.ToString())
            {
                _ = isPlain ? line.Append(c) : line.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            }
        }

        return line.ToString();
    }

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

    [LoggerMessage(
        110,
        LogLevel.Information,
        "{Peer} '{Path}' {Root} {Offset}-{End}/{Length}, {BytesSent} bytes in {Milliseconds} ms as {Role}: {Result} (session {SessionId})")]
    public static partial void Transferred(
        ILogger logger, IPEndPoint peer, string path, string root, long offset, long end, long length, long bytesSent, long milliseconds,
        ServerRole role, KwikError result, Guid sessionId);

    [LoggerMessage(105, LogLevel.Warning, "No trees of files are kept in '{Place}'. {Reason}")]
    public static partial void TreeCacheFailed(ILogger logger, string place, string reason);

    [LoggerMessage(106, LogLevel.Warning, "The cached tree '{Place}' of '{File}' is damaged; the file is read again.")]
    public static partial void TreeDamaged(ILogger logger, string place, string file);
}
