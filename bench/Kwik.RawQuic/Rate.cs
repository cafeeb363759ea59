using System.Diagnostics;

namespace Kwik.RawQuic;

/// <summary>How fast something was done.</summary>
/// <param name="PerSecond">Units of work a second.</param>
/// <param name="CpuEach">Seconds of the processor for one unit, client and server together.</param>
internal sealed record Rate(double PerSecond, double CpuEach)
{
    /// <param name="work">Does it, and returns the number of units.</param>
    public static async Task<Rate> OfAsync(ServerProcess server, Func<Task<long>> work)
    {
        TimeSpan cpu = server.ProcessorTime;
        long start = Stopwatch.GetTimestamp();
        long done = await work();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new(done / seconds, (server.ProcessorTime - cpu).TotalSeconds / done);
    }
}
