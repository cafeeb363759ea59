using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Microsoft.Extensions.Logging;

namespace Kwik.Hosting;

/// <summary>Everything that the hosts log, each with its own number; those of file transfer are below 200.</summary>
internal static partial class HostingLog
{
    [LoggerMessage(200, LogLevel.Information, "Serving '{Root}' as {Role} on {EndPoint}, pin {Pin}.")]
    public static partial void Listening(ILogger logger, ServerRole role, IPEndPoint endPoint, KeyHash pin, string root);

    [LoggerMessage(202, LogLevel.Information, "Stopping: {Sessions} sessions, {Transfers} transfers may go on for {Timeout}.")]
    public static partial void Stopping(ILogger logger, int sessions, int transfers, TimeSpan timeout);

    [LoggerMessage(203, LogLevel.Warning, "Session {SessionId} was closed while its client was still fetching: ShutdownTimeout is over.")]
    public static partial void SessionCutOff(ILogger logger, Guid sessionId);

    [LoggerMessage(201, LogLevel.Error, "Session {SessionId} failed.")]
    public static partial void SessionFailed(ILogger logger, Guid sessionId, Exception reason);
}
