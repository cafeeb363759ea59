using System.Net;
using Kwik.Data;
using Microsoft.Extensions.Logging;

namespace Kwik.Sessions;

/// <summary>Everything that sessions log, each with its own number.</summary>
internal static partial class SessionLog
{
    [LoggerMessage(1, LogLevel.Debug, "Path {PathId} to {EndPoint} is active.")]
    public static partial void PathActive(ILogger logger, int pathId, IPEndPoint endPoint);

    [LoggerMessage(2, LogLevel.Information, "Path {PathId} to {EndPoint} ended: {Code}. {Reason}")]
    public static partial void PathEnded(ILogger logger, int pathId, IPEndPoint endPoint, KwikError code, string reason);

    [LoggerMessage(3, LogLevel.Warning, "Path {PathId} to {Host}:{Port} could not be added: {Code}. {Reason}")]
    public static partial void PathRefused(ILogger logger, int pathId, string host, int port, KwikError code, string reason);

    [LoggerMessage(4, LogLevel.Debug, "A connection from {EndPoint} was not admitted: {Code}. {Reason}")]
    public static partial void ConnectionRefused(ILogger logger, IPEndPoint endPoint, KwikError code, string reason);

    [LoggerMessage(5, LogLevel.Debug, "Session {SessionId} with {EndPoint} began.")]
    public static partial void SessionBegan(ILogger logger, Guid sessionId, IPEndPoint endPoint);

    [LoggerMessage(6, LogLevel.Debug, "Session {SessionId} with {EndPoint} ended: {Code}. {Reason}")]
    public static partial void SessionEnded(ILogger logger, Guid sessionId, IPEndPoint endPoint, KwikError code, string reason);

    [LoggerMessage(7, LogLevel.Warning, "The qlog of session {SessionId} ends early, the session goes on: {Reason}")]
    public static partial void QlogFailed(ILogger logger, Guid sessionId, string reason);

    [LoggerMessage(8, LogLevel.Debug, "{Reason}")]
    public static partial void HandshakeFailed(ILogger logger, string reason);

    [LoggerMessage(9, LogLevel.Warning, "{Reason}")]
    public static partial void HandshakeBroken(ILogger logger, string reason, Exception? exception);
}
