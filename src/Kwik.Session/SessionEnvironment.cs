using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// What a session takes from outside: the network, the clock, chance and memory. The tests put a simulation in its place.
/// </summary>
internal sealed record SessionEnvironment(ITransport Transport, TimeProvider Time, Random Random, LeasePool Pool)
{
    /// <summary>Whom sessions tell what is measured and traced.</summary>
    public KwikTelemetry Telemetry { get; init; } = KwikTelemetry.Shared;

    /// <summary>System.Net.Quic and the system's clock.</summary>
    public static SessionEnvironment System { get; } = new(QuicTransport.Instance, TimeProvider.System, Random.Shared, LeasePool.Shared);
}
