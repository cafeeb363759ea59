using System.Net;
using Google.Protobuf;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

/// <summary>What a client tells its primary about a path, and what the primary makes of it.</summary>
internal static class PathStatusWire
{
    // 34 years in milliseconds; 12 days in microseconds.
    private const ulong MaxTime = 1UL << 40;
    private const ulong MaxBytes = 1UL << 62;

    public static PathStatus Write(PathInfo path, DateTimeOffset now)
    {
        var status = new PathStatus
        {
            PathId = (uint)path.Id,
            Condition = (PathCondition)(path.State + 1),
            ConditionAgeMs = Milliseconds(now - path.Since),
            SilenceMs = Milliseconds(now - path.LastActivity),
            BytesReceived = (ulong)path.BytesReceived,
        };
        if (path.EndPoint is { } server)
        {
            status.Address = ByteString.CopyFrom(server.Address.GetAddressBytes());
            status.Port = (uint)server.Port;
        }

        if (path.RoundTrip is { } roundTrip)
        {
            status.RoundTripUs = Math.Min(MaxTime, (ulong)roundTrip.TotalMicroseconds);
        }

        return status;
    }

    /// <summary>Null when a value is out of its range.</summary>
    public static PathInfo? TryRead(PathStatus status, DateTimeOffset now)
    {
        if (status.Condition is < PathCondition.Connecting or > PathCondition.Removed
            || status.Address.Length is not (0 or 4 or 16)
            || status.Port > IPEndPoint.MaxPort
            || status.ConditionAgeMs > MaxTime
            || status.SilenceMs > MaxTime
            || status.RoundTripUs > MaxTime
            || status.BytesReceived > MaxBytes)
        {
            return null;
        }

        return new(
            (int)status.PathId,
            ServerRole.Secondary,
            status.Address.IsEmpty ? null : new IPEndPoint(new IPAddress(status.Address.Span), (int)status.Port),
            (PathState)(status.Condition - 1),
            now - TimeSpan.FromMilliseconds((long)status.ConditionAgeMs),
            now - TimeSpan.FromMilliseconds((long)status.SilenceMs),
            status.HasRoundTripUs ? TimeSpan.FromMicroseconds(status.RoundTripUs) : null,
            (long)status.BytesReceived);
    }

    private static ulong Milliseconds(TimeSpan age) => (ulong)Math.Clamp(age.TotalMilliseconds, 0, MaxTime);
}
