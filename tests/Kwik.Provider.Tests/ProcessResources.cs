using System.Globalization;

namespace Kwik.Provider.Tests;

/// <summary>What this process holds; Linux tells in /proc.</summary>
internal static class ProcessResources
{
    /// <summary>Memory of the process that is not a file's, in bytes, with the garbage of the managed heap given back.</summary>
    public static long AnonymousMemory()
    {
        for (int i = 0; i < 2; i++)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        const string Field = "RssAnon:";
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(Field, StringComparison.Ordinal));
        return 1024 * long.Parse(line[Field.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
    }

    /// <summary>Open file descriptors: sockets above all.</summary>
    public static int Handles() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    /// <summary>Waits until no more than that many are open: closed connections keep theirs for stragglers, a moment.</summary>
    public static async Task AssertHandlesFallToAsync(int bound)
    {
        long start = Environment.TickCount64;
        int handles;
        while ((handles = Handles()) > bound && Environment.TickCount64 - start < Patience.Limit.TotalMilliseconds)
        {
            await Task.Delay(20);
        }

        Assert.True(handles <= bound, $"{handles} file descriptors are open; {bound} were expected at most.");
    }
}
