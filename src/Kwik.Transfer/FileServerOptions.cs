using Kwik.Sessions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kwik.Transfer;

/// <summary>How a primary serves files.</summary>
public sealed record FileServerOptions
{
    /// <summary>The other servers that every client is sent to; at most as many as its session has paths. Default: none.</summary>
    public IReadOnlyList<SecondaryServer> Secondaries { get; init; } = [];

    /// <summary>
    /// Requests of one session that are under way, until the client closes their stream: 1 to 10,000, default 128. Each costs about
    /// 10 KiB until its file is offered, then 2 KiB; further ones are aborted with LimitExceeded.
    /// </summary>
    public int MaxRequests { get; init; } = 128;

    /// <summary>
    /// Files that are on their way at once, in all sessions together: 1 to 1,000,000, default 1,000. Each costs about 2 KiB, from its
    /// request until its client closes the stream. A request beyond it is aborted with LimitExceeded: the client may ask again later.
    /// </summary>
    public int MaxConcurrentTransfers { get; init; } = 1000;

    /// <summary>A request that is not complete by then is aborted with Timeout: 100 ms to 5 min, default 10 s.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Where the server logs; default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>The clock; default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentException">A value is missing or out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Secondaries);
        foreach (SecondaryServer secondary in Secondaries)
        {
            secondary.Validate();
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(MaxRequests, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxRequests, 10_000);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxConcurrentTransfers, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxConcurrentTransfers, 1_000_000);
        ArgumentOutOfRangeException.ThrowIfLessThan(RequestTimeout, TimeSpan.FromMilliseconds(100));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(RequestTimeout, TimeSpan.FromMinutes(5));
    }
}
