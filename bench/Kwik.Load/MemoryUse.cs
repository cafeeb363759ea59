using System.Globalization;
using Kwik.Data;

namespace Kwik.Load;

/// <summary>What the process holds: both ends of everything.</summary>
/// <param name="Managed">Bytes of objects that somebody refers to, without what the pool of leases keeps for reuse, which its own limit bounds.</param>
/// <param name="Resident">Bytes of the process in memory, the QUIC library's and free ones of the heaps included.</param>
/// <param name="Handles">Open files and sockets; 0 where the system does not tell.</param>
internal readonly record struct MemoryUse(long Managed, long Resident, int Handles)
{
    private static readonly TimeSpan SettleInterval = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Collects everything that nobody refers to, and looks, again and again until that no longer changes much: what was closed is
    /// held for a moment by those who closed it.
    /// </summary>
    public static async Task<MemoryUse> SettledAsync()
    {
        MemoryUse use = Collected();
        while (true)
        {
            MemoryUse before = use;
            await Task.Delay(SettleInterval);
            use = Collected();
            if (use.Managed > before.Managed * 0.95)
            {
                return use;
            }
        }
    }

    /// <summary>Resident bytes at this moment.</summary>
    public static long Now() => Environment.WorkingSet;

    /// <summary>Bytes as mebibytes, for people.</summary>
    public static string Format(double bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1024 * 1024):0.0} MiB");

    private static MemoryUse Collected()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        const string OpenFiles = "/proc/self/fd";
        return new(GC.GetTotalMemory(forceFullCollection: false) - LeasePool.Shared.RetainedBytes, Now(), Directory.Exists(OpenFiles) ? Directory.GetFiles(OpenFiles).Length : 0);
    }
}
